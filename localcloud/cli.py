"""`python -m localcloud serve|stop|wipe`: arguments, messages and exit codes; the work is in the other
modules.
"""

from __future__ import annotations

import argparse
import sys

from localcloud.base.paths import State, state_at
from localcloud.base.problems import Refused

EXIT_REFUSED = 2
DRAIN_SECONDS = 30.0
IN_PLACE_HOURS = 8.0  # docs.aws.amazon.com/codedeploy/latest/userguide/limits.html


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="localcloud", description="The AWS of this machine.")
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("serve", "Run the cloud in the foreground."),
        ("stop", "Stop instances, databases and the cloud; leave no process."),
        ("wipe", "Stop, then delete the state folder."),
    ):
        sub = verbs.add_parser(verb, help=text, description=text)
        sub.add_argument("--state", required=True, metavar="DIR", help="The state folder.")
        if verb == "serve":
            sub.add_argument("--port", type=int, help="The port; otherwise the last one, or a free one.")
            sub.add_argument(
                "--deployment-hours",
                type=float,
                default=IN_PLACE_HOURS,
                metavar="HOURS",
                help="How long a CodeDeploy deployment may take, 8 hours as on AWS.",
            )
            sub.add_argument(
                "--containers",
                action="store_true",
                help="Run tasks of ECS as containers of Docker, on Linux, not as processes.",
            )
        else:
            sub.add_argument(
                "--drain",
                type=float,
                default=DRAIN_SECONDS,
                metavar="SECONDS",
                help="How long instances may take to stop before they are killed.",
            )
    return top


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    state = state_at(options.state)
    try:
        return _run(options, state)
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        if refused.hint:
            print(f"hint: {refused.hint}", file=sys.stderr)
        return EXIT_REFUSED


def _run(options: argparse.Namespace, state: State) -> int:
    if options.verb == "serve":
        # Byte code makes the difference between 0.5 s and 2 s of start-up.
        sys.dont_write_bytecode = False
        from localcloud.emulator.server import serve

        return serve(state, options.port, options.deployment_hours, options.containers)
    from localcloud.life.stopping import stop, wipe

    (stop if options.verb == "stop" else wipe)(state, options.drain)
    return 0

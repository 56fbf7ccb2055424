"""Runs the project's `airflow/host/startup.sh`, if there is one: `python -m ductwork_airflow.hosts.startup`.

Its output goes to a file first and from there to the deployment log, in lines that CodeDeploy accepts: one byte that is
not UTF-8 would fail the rollout, a very long line would empty what CodeDeploy shows of the log, and a process that the
script leaves behind would hold a pipe open until the hook's time-out.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from ductwork_airflow.hosts import envfile

log = logging.getLogger("ductwork.startup")

# AfterInstall, which runs this, has 30 minutes (appspec.yml) for the environment and the migration as well.
LIMIT_SECONDS = 600.0
NAME = "airflow/host/startup.sh"


def environment(settings: dict[str, str], venv: Path) -> dict[str, str]:
    """That of the hook, who and where this host is, and the programs of Airflow's environment. No secret."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {name: value for name, value in settings.items() if name.startswith(("AWS_", "DUCTWORK_"))}
    return env | {"PATH": f"{venv}/bin:{env.get('PATH', os.defpath)}"}


def run(script: Path, env: dict[str, str], output: Path, limit: float) -> str | None:
    """Runs it to its end; what went wrong, if anything did. Whatever a script that is too slow has started ends."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as stream:
        process = subprocess.Popen(
            ["bash", str(script)], cwd=script.parent, env=env, stdin=subprocess.DEVNULL,
            stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"{NAME} did not end within {limit:.0f} s"
    return None if code == 0 else f"{NAME} ended with exit code {code}"


def show(output: Path) -> None:
    """What the script said, line by line."""
    with output.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            sys.stdout.write(line.rstrip("\n")[: envfile.LINE_CHARACTERS] + "\n")
    sys.stdout.flush()


def main() -> int:
    """The command line, without arguments."""
    envfile.log_to_stderr()
    root = envfile.host_root()
    home = root / "opt/ductwork"
    script = home / "revision/startup.sh"
    if not script.exists():
        return 0
    log.info("running %s", NAME)
    env = environment(envfile.read_lines(envfile.airflow_file()), home / "venv")
    output = root / "var/log/ductwork/startup.log"
    fault = run(script, env, output, LIMIT_SECONDS)
    show(output)
    if fault:  # on the same stream as the script's words, so that it stays below them
        sys.stdout.write(f"error: {fault}; its last lines are above, all of them in {output} on the host\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

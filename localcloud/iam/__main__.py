"""`python -m localcloud.iam --state DIR --project P --environment E`: judges the roles of a deployed environment.

By what its hosts did so far (`calls.jsonl`). Exit code 1 and one line for each finding, else what was looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from localcloud.iam import judge
from localcloud.iam.account import Account
from localcloud.iam.calls import Around, calls, read
from localcloud.iam.foreign import Own


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="localcloud.iam", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="The state folder of the local cloud.")
    parser.add_argument("--project", default="ductwork")
    parser.add_argument("--environment", default="local")
    options = parser.parse_args()
    endpoint = json.loads((options.state / "cloud.json").read_text(encoding="utf-8"))["endpoint"]
    account = Account(endpoint, "us-east-1")
    own = Own(options.project, options.environment)
    roles = account.roles(own.stack)
    around = Around(account.region, account.group_tags())
    made = list(calls(read(options.state / "calls.jsonl"), around))
    findings = [
        *judge.silent(roles, made),
        *judge.insufficient(roles, made),
        *judge.reaches_out(roles, made, own),
        *judge.unnoticed(roles, made),
    ]
    for finding in sorted(set(findings)):
        sys.stdout.write(f"{finding}\n")
    count = sum(len(role.statements) for role in roles)
    sys.stderr.write(f"{len(made)} calls, {count} statements of {len(roles)} roles\n")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())

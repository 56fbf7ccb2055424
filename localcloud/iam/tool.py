"""`python -m localcloud.iam.tool --state DIR --project P --environment E`: judges the deploy role of an environment.

By what the release tool has asked for that environment so far (`calls.jsonl`), whoever ran it. The role need not be
deployed: its policies are those of `templates/delivery.yaml`, with `--tasks` also those of its part for ECS.
Exit code 1 and one line for each finding.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcloud.iam import delivery, judge
from localcloud.iam.account import Role
from localcloud.iam.calls import Call, read
from localcloud.iam.foreign import Own
from localcloud.iam.policy import Request, like
from localcloud.iam.resources import Place

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
DESTROY = "only `destroy` does it, which deletes the role as well"
# What people do with rights of their own, each with the reason.
BY_PEOPLE: list[tuple[str, str, str]] = [
    ("cloudformation:*", "*/ductwork-bootstrap*", "an account is prepared by the first deployment to it"),
    ("s3:DeleteObject", "*/environments/*/current.json", DESTROY),
    ("s3:DeleteObject", "*/environments/*/deployments/*.json", DESTROY),
    ("s3:DeleteObject", "*/environments/*/drains/*.json", DESTROY),
    ("s3:DeleteObject", "*/environments/*/dumps/*.dump", DESTROY),
    ("s3:DeleteObject", "*/environments/*/leftovers.json", DESTROY),
    ("s3:DeleteObject", "*/environments/*/lock.json", DESTROY),
    ("s3:DeleteObject", "*/environments/*/migration.json", DESTROY),
    ("s3:DeleteObject", "*/environments/*/relay.json", DESTROY),
    ("s3:DeleteObject", "*/environments/*/releases/*.json", DESTROY),
    ("s3:DeleteObject", "*/receipts/*.json", DESTROY),
    ("s3:ListBucketVersions", "arn:*:s3:::*-entry-*", DESTROY),
    ("s3:ListBucketVersions", "arn:*:s3:::*-logsbucket-*", DESTROY),
    ("s3:DeleteObjectVersion", "arn:*:s3:::*", DESTROY),
    ("ecs:ExecuteCommand", "*", "sessions are people's"),
]
# ARNs of what has the environment's tags, whoever named it.
TAGGED = (":autoscaling:", ":codedeploy:", ":kms:")
# What environments of an account share.
SHARED: list[tuple[str, str, str]] = [
    ("s3:*Object*", "arn:*:s3:::*/bundles/*", "named by their content"),
    ("s3:*Object*", "arn:*:s3:::*/hosts/*", "named by their content"),
    ("s3:*Object*", "arn:*:s3:::*/templates/*", "named by their content"),
    (
        "s3:*",
        "arn:*:s3:::ductwork-000000000000-us-east-1",
        "the one artifact bucket of the account and region",
    ),
    ("cloudformation:DescribeStacks", "*/ductwork-bootstrap/*", "the one bootstrap stack"),
    ("ssm:GetParameter", "arn:aws:ssm:*::parameter/aws/service/*", "of AWS, the same for everybody"),
    ("cloudformation:ListStacks", "*", "IAM knows no resources of it, and it tells names and states only"),
    ("cloudwatch:GetMetricData", "*", "IAM knows no resources of it, and it tells numbers only"),
    ("cloudwatch:DescribeAlarms", "*", "as with all that describes"),
    ("codedeploy:*Targets", "*", "of a deployment, whose id only its environment knows"),
    ("ecs:DeregisterTaskDefinition", "*", "IAM knows no resources of it, so `destroy` looks at the tags"),
    ("ecs:ListTaskDefinitions", "*", "IAM knows no resources of it, and it tells names only"),
]


def _is_in(entries: list[tuple[str, str, str]], request: Request) -> bool:
    return any(like(one, request.action) and like(other, request.resource) for one, other, _ in entries)


def calls(records: list[dict[str, Any]], place: Place) -> Iterator[Call]:
    """What the tool asked for an environment, as requests to IAM, except what people do."""
    for record in records:
        if record.get("app") == place.stack:
            context = _tags(record["resource"], place) | record.get("context", {})
            yield Call(
                record["component"], place.stack, Request(record["action"], record["resource"], context)
            )


def _tags(resource: str, place: Place) -> dict[str, str]:
    """The tags of what has some: the environment's stacks, keys, groups and applications."""
    stack = f":stack/{place.stack}"
    own = any(mark in resource for mark in (*TAGGED, f"{stack}/", f"{stack}-"))
    return place.tags("aws:ResourceTag") if own else {}


def findings(made: list[Call], role: Role, own: Own, secret: str = "", source: str = "") -> Iterator[str]:
    """What the role lacks, and what would work elsewhere. The environment file may give `secret` and `source`."""
    shared = [*SHARED, ("secretsmanager:DescribeSecret", secret, "other environments may have the same")]
    if source:
        shared.append(("s3:GetObject", f"*/environments/{source}/*.json", "releases come from there"))
    if not made:
        yield f"no call of the release tool for `{own.environment}` was recorded"
    needed = [call for call in made if not _is_in(BY_PEOPLE, call.request) or _is_in(shared, call.request)]
    yield from judge.insufficient([role], needed)
    yield from judge.repeated([role], [call for call in made if not _is_in(shared, call.request)], own)
    yield from judge.unnoticed([role], needed)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="localcloud.iam.tool", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="The state folder of the local cloud.")
    parser.add_argument("--project", default="ductwork")
    parser.add_argument("--environment", default="local")
    parser.add_argument("--secret", default="", help="ARN of an existing database's URL.")
    parser.add_argument("--tasks", action="store_true", help="The environment runs on ECS.")
    parser.add_argument("--source", default="", help="Environment that releases come from.")
    options = parser.parse_args()
    place = Place(options.project, options.environment, "000000000000", "us-east-1", "aws", "")
    texts = delivery.texts(TEMPLATES, tasks=options.tasks)
    template = delivery.template(texts, place, options.secret, source=options.source)
    role = Role("DeployRole", place.stack, template.statements())
    made = list(calls(read(options.state / "calls.jsonl"), place))
    own = Own(place.project, place.environment)
    found = sorted(set(findings(made, role, own, options.secret, options.source)))
    for finding in found:
        sys.stdout.write(f"{finding}\n")
    sys.stderr.write(f"{len(made)} calls of the release tool, {len(role.statements)} statements\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())

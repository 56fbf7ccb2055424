"""What is another environment's: the twin of a request in an environment of another name. Pure.

Names are chosen to catch patterns that are too wide: one has nothing in common with the environment's name, two begin
with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from localcloud.iam.policy import Context, Request, Statement, like, strings

# Ids that AWS draws: no two environments share one.
DRAWN = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(?:fs|fsap|vpc|subnet|sg|lt|i|eni|mrk|snap|vol)-[0-9a-f]{8,}\b"
)
# What environments of one account and region share, each with the reason. Everything else is one's own.
SHARED = [
    ("s3:GetObject*", "arn:*:s3:::ductwork-*/hosts/*", "host revisions, named by their content"),
    ("s3:GetObject*", "arn:*:s3:::ductwork-*/bundles/*", "DAG bundles, named by their content"),
    ("s3:GetObject", "arn:*:s3:::aws-codedeploy-*/*", "the agent's installer, AWS's own"),
    ("codedeploy:*", "arn:*:codedeploy:*:*:deploymentconfig:CodeDeployDefault.*", "AWS's own configurations"),
    ("ssmmessages:*", "*", "channels of a host's own session, which know no resources"),
    (
        "ssm:UpdateInstanceInformation",
        "*",
        "of the calling host; knows no resources that could be named before",
    ),
    ("codedeploy-commands-secure:*", "*", "commands to the calling host's agent, which know no resources"),
    ("cloudwatch:PutMetricData", "*", "knows no resources; the namespace is conditioned"),
    ("*:Describe*", "*", "describing knows no resources"),
    ("ec2:RunInstances", "*", "CodeDeploy's; a host of others cannot be launched without passing its role"),
    ("ec2:CreateTags", "*", "CodeDeploy's, on what it launches only, by condition"),
    ("tag:GetResources", "*", "reading tags knows no resources"),
    ("ecr:GetAuthorizationToken", "*", "knows no resources"),
    *(
        (f"ecr:{action}", "arn:*:ecr:*:*:repository/ductwork", "the account's images, named by their content")
        for action in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    ),
]


@dataclass(frozen=True)
class Own:
    """The environment that is judged."""

    project: str
    environment: str

    @property
    def stack(self) -> str:
        """Name of its master stack."""
        return f"{self.project}-{self.environment}"

    def others(self) -> list[str]:
        """Names of environments that could stand beside it."""
        return ["other", f"{self.environment}2", f"{self.environment}-2"]


def renamed(text: str, own: Own, other: str) -> str:
    """What a name or ARN is in the other environment."""
    text = re.sub(rf"(?<![a-z0-9]){re.escape(own.stack)}(?![a-z0-9])", f"{own.project}-{other}", text)
    alone = rf"(?<![\w-]){re.escape(own.environment)}(?![\w-])"
    text = re.sub(alone, other, text)
    return DRAWN.sub(lambda found: re.sub(r"[0-9a-f](?=[0-9a-f]*$)", _another, found[0]), text)


def _another(digit: re.Match[str]) -> str:
    return "1" if digit[0] == "0" else "0"


def twins(request: Request, own: Own) -> Iterator[Request]:
    """The request in other environments; itself where nothing in it belongs to one."""
    for other in own.others():
        context = {
            key: [renamed(one, own, other) for one in value]
            if isinstance(value, list)
            else renamed(value, own, other)
            for key, value in request.context.items()
        }
        yield Request(request.action, renamed(request.resource, own, other), context)


def is_shared(request: Request) -> bool:
    """Whether all environments may do this, for a reason that is written down."""
    return any(
        like(action.lower(), request.action.lower())
        # `*` is what an action without resources goes to, not any resource.
        and (request.resource == "*" if resource == "*" else like(resource, request.resource))
        for action, resource, _ in SHARED
    )


def sample(text: str) -> str:
    """Something that a pattern matches; a lone `*` stays, as requests without a resource have it."""
    return text if text == "*" else re.sub(r"(?<!\$\{)[*?]", "x", text)


def samples(statement: Statement) -> Iterator[Request]:
    """Requests that an Allow is for: every action on every resource, with whatever its conditions ask for."""
    asked = {
        key: [sample(one) for one in strings(wanted)]
        for operator, keys in (statement.get("Condition") or {}).items()
        if "Not" not in operator and operator != "Null"
        for key, wanted in keys.items()
    }
    for values in product(*asked.values()):
        context: Context = dict(zip(asked, values, strict=True))
        for action in strings(statement["Action"]):
            for resource in strings(statement["Resource"]):
                yield Request(sample(action), sample(resource), context)

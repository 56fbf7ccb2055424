"""What ECS does with the roles of a task: whether they can be assumed, and whether they allow what is done with them.

Every use is recorded, so that roles can be judged (`iam/`). AWS checks the same, in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from ministack.core.responses import get_region
from ministack.services import iam, secretsmanager

from localcloud.ecs.errors import StartError
from localcloud.ecs.store import tail
from localcloud.iam.policy import PolicyError, Request, Statement, allows, statements

ASSUMES = "ecs-tasks.amazonaws.com"
# Role, action and resource of something that ECS did for a task.
Note = Callable[[str, str, str], None]


def _statements(role: dict) -> list[Statement]:
    documents = list(role["InlinePolicies"].values())
    for arn in role["AttachedPolicies"]:
        policy = iam._lookup_policy(arn) or {}
        version = (policy.get("Versions") or {}).get(policy.get("DefaultVersionId")) or {}
        documents.append(version.get("Document") or '{"Statement": []}')
    parsed = (json.loads(one) if isinstance(one, str) else one for one in documents)
    return [statement for document in parsed for statement in statements(document)]


def _can_be_assumed(role: dict | None, service: str) -> bool:
    trust = (role or {}).get("AssumeRolePolicyDocument") or "{}"
    document = json.loads(trust) if isinstance(trust, str) else trust
    names = []
    for statement in document.get("Statement") or []:
        principal = (
            (statement.get("Principal") or {}).get("Service", []) if statement["Effect"] == "Allow" else []
        )
        names += [principal] if isinstance(principal, str) else principal
    return service in names


class Rights:
    """The rights of one role, used for one task."""

    def __init__(
        self,
        arn: str,
        session: str,
        note: Note,
        context: dict[str, str] | None = None,
        service: str = ASSUMES,
    ) -> None:
        """Raises StartError unless ECS, or another service, may assume the role. `context`: what conditions may ask for
        besides.
        """
        self.name = tail(arn)
        self._session = session
        self._note = note
        region = {"aws:RequestedRegion": get_region(), "aws:SecureTransport": "true"}
        self._context = {**region, **(context or {})}
        role = iam._roles.get(self.name)
        if role is None or role["Arn"] != arn or not _can_be_assumed(role, service):
            raise StartError(
                f"ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the "
                "role being passed has the proper trust relationship and permissions and that your IAM user has "
                "permissions to pass this role."
            )
        self._account = arn.split(":")[4]
        self._statements = _statements(role)

    def denied(self, action: str, resource: str, context: dict[str, str] | None = None) -> str:
        """AWS's answer to a call that the role does not allow; empty if it may."""
        self._note(self.name, action, resource)
        try:
            if allows(self._statements, Request(action, resource, {**self._context, **(context or {})})):
                return ""
        except PolicyError as error:
            return f"AccessDeniedException: the local cloud cannot judge {self.name}: {error}"
        return (
            f"AccessDeniedException: User: arn:aws:sts::{self._account}:assumed-role/{self.name}/{self._session} is "
            f"not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the "
            f"{action} action"
        )

    def denied_secret(self, arn: str) -> str:
        """The same for a secret, with the key that it is encrypted with."""
        denied = self.denied("secretsmanager:GetSecretValue", arn)
        secret = next((one for one in secretsmanager._secrets.values() if one["ARN"] == arn), None) or {}
        key = secret.get("KmsKeyId") or ""
        if denied or not key or "alias/aws/" in key:
            return denied
        region, account = arn.split(":")[3:5]
        whole = key if key.startswith("arn:") else f"arn:aws:kms:{region}:{account}:key/{key}"
        # Secrets Manager asks KMS for its caller, and names the secret in the encryption context.
        context = {
            "kms:ViaService": f"secretsmanager.{region}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": arn,
        }
        return (
            self.denied("kms:Decrypt", whole, context)
            and "AccessDeniedException: Access to KMS is not allowed"
        )

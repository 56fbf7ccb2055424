"""What instances, tasks, AWS for them, and the release tool ask of AWS, as IAM would judge it: a line for each
distinct call.

Roles are tested against it. An instance or a task is known by its access key, the tool by the application's name in
its user agent, which is the stack that it works on. Judges nothing and never fails a request.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ministack import app as ministack_app
from ministack.core.iam_actions import (
    SERVICE_TO_IAM_NAMESPACE,
    extract_iam_action,
    extract_resource_arn,
    s3_additional_checks,
)
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id
from ministack.services import autoscaling, cloudformation, s3, secretsmanager, sqs

from localcloud.fleet import instances
from localcloud.fleet.hostenv import instance_of

log = logging.getLogger("localcloud.iam.recording")
CBOR_ACTION = re.compile(r"^/service/[^/]+/operation/([A-Za-z]+)$")
APP = re.compile(r"(?:^| )app/(\S+)")
TOOL = "xtask"
MAX_BYTES = 8_000_000  # then the file becomes calls.jsonl.1 and a new one begins
# A batch is authorized as the single action.
SINGLE = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
# These name a deployment by its id, for which IAM has no resource.
BY_ID = {"BatchGetDeploymentTargets", "GetDeploymentTarget", "ListDeploymentTargets", "StopDeployment"}
FREE = {"sts:GetCallerIdentity"}  # needs no permission
# (action, resource)
Asked = tuple[str, str]


class Calls:
    def __init__(self, file: Path, deployed_by: Callable[[str], tuple[str, str] | None]) -> None:
        """`deployed_by` answers application and group of a CodeDeploy deployment."""
        self._file = file
        self._deployed_by = deployed_by
        self._lock = threading.Lock()
        self._seen: set[str] | None = None
        # Answers who a task of ECS is, by its access key.
        self.task_caller: Callable[[str], dict[str, str] | None] = lambda key: None
        # Answers actions, resources and contexts of a request to ECS: its operation and its body.
        self.ecs_asked: Callable[[str, bytes], Iterable[tuple[str, str, dict[str, str]]]] = (
            lambda name, body: ()
        )

    # -- from the services
    def request(
        self, service: str, method: str, path: str, headers: dict, body: bytes, query_params: dict
    ) -> None:
        """Note a request, if an instance, a task or the release tool made it."""
        caller = self._caller(extract_access_key_id(headers, query_params), headers)
        if caller is None:
            return
        try:
            if service == "ecs":
                for one in self.ecs_asked(headers.get("x-amz-target", "").rpartition(".")[2], body):
                    self._note(caller, *one)
                return
            params = ministack_app._routing_params(method, path, headers, body, query_params)
            for action, resource in self._asked(service, method, path, headers, body, params):
                self._note(caller, action, resource, _context(action, params, headers, body))
        except Exception:
            log.exception("a call of %s could not be noted", caller["component"])

    def _caller(self, key: str, headers: dict) -> dict[str, str] | None:
        instance_id = instance_of(key)
        if instance_id:
            return _instance(instance_id)
        app = APP.search(headers.get("x-amz-user-agent") or headers.get("user-agent", ""))
        return self.task_caller(key) or (_tool(app[1]) if app else None)

    def note_task(self, caller: dict[str, str], action: str, resource: str, context: dict[str, str]) -> None:
        """Note what ECS does for a task with one of its roles."""
        self._note(caller, action, resource, context)

    def note(self, instance_id: str, action: str, resource: str) -> None:
        """Note what the agents of an instance do by themselves."""
        self._note(_instance(instance_id), action, resource, {})

    def note_role(self, role: str, action: str, resource: str, tags: dict[str, str]) -> None:
        """Note that CodeDeploy did something with a role, on a resource with these tags."""
        context = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        self._note({"component": "codedeploy", "profile": "", "role": role}, action, resource, context)

    def _note(self, caller: dict[str, str], action: str, resource: str, context: dict[str, str]) -> None:
        line = json.dumps(
            {
                **caller,
                "service": action.partition(":")[0],
                "action": action,
                "resource": resource,
                **({"context": context} if context else {}),
            }
        )
        with self._lock:
            seen = self._load()
            if line not in seen:
                seen.add(line)
                with self._file.open("a", encoding="utf-8") as lines:
                    lines.write(line + "\n")
                if self._file.stat().st_size > MAX_BYTES:
                    self._file.replace(self._file.with_suffix(".jsonl.1"))
                    seen.clear()

    def _load(self) -> set[str]:
        if self._seen is None:
            text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
            self._seen = set(text.splitlines())
        return self._seen

    # -- what is asked
    def _asked(
        self, service: str, method: str, path: str, headers: dict, body: bytes, params: dict
    ) -> Iterator[Asked]:
        if service == "codedeploy":
            yield self._codedeploy(headers, body)
            return
        action = extract_iam_action(service, method, path, headers, body, params)
        operation = CBOR_ACTION.match(path)
        if action is None and operation:
            action = f"{SERVICE_TO_IAM_NAMESPACE.get(service, service)}:{operation[1]}"
        if action is None or action in FREE:
            return
        action = SINGLE.get(action, action)
        if service == "cloudformation":
            yield from ((action, resource) for resource in _stacks(params))
            return
        resource = _resource(service, action, method, path, headers, body, params)
        yield action, resource
        if service == "s3":
            yield from s3_additional_checks(method, path, headers, body, params)
        yield from _with_keys(service, action, resource)

    def _codedeploy(self, headers: dict, body: bytes) -> Asked:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        request = json.loads(body or b"{}")
        prefix = f"arn:aws:codedeploy:{get_region()}:{get_account_id()}"
        application = request.get("applicationName", "")
        group = request.get("deploymentGroupName") or request.get("currentDeploymentGroupName") or ""
        # A batch is judged by its first: hosts ask about one group at a time.
        asked = [request.get("deploymentId"), *request.get("deploymentIds", [])]
        deployment = next((one for one in asked if one), None)
        if deployment:
            application, group = self._deployed_by(deployment) or ("", "")
        if operation == "GetDeploymentConfig":
            return (
                f"codedeploy:{operation}",
                f"{prefix}:deploymentconfig:{request.get('deploymentConfigName')}",
            )
        resource = "*"
        if operation in BY_ID:
            return f"codedeploy:{operation}", resource
        if application:
            resource = f"{prefix}:application:{application}"
        if application and group:
            resource = f"{prefix}:deploymentgroup:{application}/{group}"
        return f"codedeploy:{operation}", resource


def _instance(instance_id: str) -> dict[str, str]:
    tags = instances.tags_of(instance_id)
    component = tags.get("component") or tags.get(instances.GROUP_TAG, instance_id)
    return {"component": component, "profile": instances.profile_of(instance_id)}


def _tool(app: str) -> dict[str, str]:
    return {"component": TOOL, "profile": "", "app": app}


def _context(action: str, params: dict, headers: dict, body: bytes) -> dict[str, str]:
    """What conditions may ask for, where an action knows no resource."""
    if action != "cloudwatch:PutMetricData":
        return {}
    request = json.loads(body) if "json" in headers.get("content-type", "") else {}
    return {"cloudwatch:namespace": request.get("Namespace") or _first(params, "Namespace")}


def _first(params: dict, name: str) -> str:
    value = params.get(name, "")
    return str(value[0] if isinstance(value, list) and value else value or "")


def _resource(
    service: str, action: str, method: str, path: str, headers: dict, body: bytes, params: dict
) -> str:
    """ministack's answer, where it has a whole ARN."""
    verb = action.partition(":")[2]
    if service == "autoscaling":
        return "*" if verb.startswith("Describe") else _group_arn(params)
    if service == "ssm":
        return _parameter_arn(str(json.loads(body or b"{}").get("Name", "")))
    arn = extract_resource_arn(service, method, path, headers, body, params, get_region(), get_account_id())
    if service == "logs" and arn != "*":
        stream = json.loads(body or b"{}").get("logStreamName")
        return f"{arn}:log-stream:{stream}" if stream else arn
    return arn


def _parameter_arn(name: str) -> str:
    """AWS's own parameters belong to no account."""
    owner = "" if name.startswith("/aws/") else get_account_id()
    return f"arn:aws:ssm:{get_region()}:{owner}:parameter/{name.lstrip('/')}" if name else "*"


def _stacks(params: dict) -> Iterator[str]:
    """Of a change set, its own ARN and its stack's: AWS's reference names one for some operations, one for others."""
    change_set, name = _first(params, "ChangeSetName"), _first(params, "StackName")
    if change_set.startswith("arn:"):
        yield change_set
        made = cloudformation._change_sets.get(change_set)
        name = made["StackId"] if made else ""
    stack = cloudformation._stacks.get(name)
    if stack:
        yield stack["StackId"]
    elif name:
        prefix = f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stack/"
        yield name if name.startswith("arn:") else f"{prefix}{name}/*"
    elif not change_set:
        yield "*"


def _group_arn(params: dict) -> str:
    name, instance_id = _first(params, "AutoScalingGroupName"), _first(params, "InstanceId")
    for group in autoscaling._asgs.values():
        members = [entry["InstanceId"] for entry in group["Instances"]]
        if group["AutoScalingGroupName"] == name or (not name and instance_id in members):
            return group["AutoScalingGroupARN"]
    return "*"


def _with_keys(service: str, action: str, resource: str) -> Iterator[Asked]:
    """What the use of a customer's key asks besides: docs.aws.amazon.com, of each service, on encryption at rest."""
    if action == "secretsmanager:GetSecretValue":
        key = next(
            (x.get("KmsKeyId") for x in secretsmanager._secrets.values() if x["ARN"] == resource), None
        )
        yield from _on_key(key, "kms:Decrypt")
    elif service == "sqs" and action in ("sqs:SendMessage", "sqs:ReceiveMessage"):
        queue = next((q for q in sqs._queues.values() if q["attributes"].get("QueueArn") == resource), None)
        key = queue["attributes"].get("KmsMasterKeyId") if queue else None
        yield from _on_key(key, "kms:Decrypt")
        if action == "sqs:SendMessage":
            yield from _on_key(key, "kms:GenerateDataKey")
    elif action in ("s3:GetObject", "s3:PutObject"):
        key = _bucket_key(resource.removeprefix("arn:aws:s3:::").partition("/")[0])
        yield from _on_key(key, "kms:Decrypt" if action == "s3:GetObject" else "kms:GenerateDataKey")


def _bucket_key(bucket: str) -> str | None:
    text = s3._bucket_encryption.get(bucket)
    text = text.decode() if isinstance(text, bytes) else str(text or "")
    _, found, rest = text.partition("<KMSMasterKeyID>")
    return rest.partition("<")[0] if found else None


def _on_key(key: str | None, action: str) -> Iterator[Asked]:
    """Keys that AWS manages ask nothing of the caller's role."""
    if not key or "alias/aws/" in key:
        return
    whole = key if key.startswith("arn:") else f"arn:aws:kms:{get_region()}:{get_account_id()}:key/{key}"
    yield action, whole

"""Every function and constant of ministack that is replaced, each with the reason why. No other module replaces any.

Resource types are not patches: they are registered (`cfn/registry.py`), as services are (`emulator/services.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ministack.services import (
    acm,
    alb,
    autoscaling,
    cloudformation,
    cloudwatch,
    cloudwatch_logs,
    ec2,
    ecr,
    ssm,
)
from ministack.services.cloudformation import (
    changesets,
    drift,
    engine,
    handlers,
    helpers,
    provisioners,
    stacks,
)

from localcloud.cfn import certificates, expressions, monitoring, nested, network, registry, secrets, urls
from localcloud.cfn import changesets as nested_sets
from localcloud.cfn.databases import Databases
from localcloud.emulator.blobs import Blobs
from localcloud.fleet import types
from localcloud.fleet.ec2 import Fleet
from localcloud.fleet.scaling import Scaling

Wrap = Callable[[Any], Any]  # from what ministack has to what takes its place


@dataclass(frozen=True)
class Patch:
    """A name of ministack, or an entry of one of its tables, with what replaces it."""

    owner: ModuleType | dict[Any, Any]
    name: str
    wrap: Wrap
    reason: str

    def apply(self) -> None:
        """Put the replacement in; a table may lack the entry, which is then added."""
        if isinstance(self.owner, dict):
            self.owner[self.name] = self.wrap(self.owner.get(self.name))
        else:
            setattr(self.owner, self.name, self.wrap(getattr(self.owner, self.name)))


def instead(replacement: object) -> Wrap:
    """Ignore what ministack has."""
    return lambda _: replacement


def live(module: ModuleType, *some: str) -> Wrap:
    """The state as it is, or some of it: whoever saves it makes JSON of it at once."""

    def wrap(get_state: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        names = some or tuple(get_state())
        return lambda: {name: getattr(module, f"_{name}") for name in names}

    return wrap


def patches(fleet: Fleet, scaling: Scaling, databases: Databases, blobs: Blobs) -> list[Patch]:
    """All of them."""
    conditions = "a condition may compare the values of any function; ministack resolves only references"
    return [
        *(
            Patch(module, "_evaluate_conditions", instead(expressions.evaluate_conditions), conditions)
            for module in (engine, changesets, handlers, stacks)
        ),
        Patch(
            stacks, "_runs_on_worker_thread", registry.on_worker_thread,
            "types of ours that wait for a process must not hold up the whole cloud",
        ),
        Patch(
            helpers, "_resolve_document", urls.with_bucket_hosts,
            "a template's URL may name the bucket in its host; ministack looks for it in the path only",
        ),
        Patch(
            cloudformation._ACTION_HANDLERS, "DescribeStacks", nested.with_parents,
            "a nested stack names its parent and root",
        ),
        Patch(
            cloudformation._ACTION_HANDLERS, "CreateChangeSet", nested_sets.with_nested,
            "IncludeNestedStacks makes a change set for each nested stack",
        ),
        Patch(
            cloudformation._ACTION_HANDLERS, "DescribeChangeSet", nested_sets.with_ids,
            "a change of a nested stack names the change set of that stack",
        ),
        *(
            Patch(
                cloudformation._ACTION_HANDLERS, name, nested_sets.and_nested,
                "nested change sets go with their root",
            )
            for name in ("DeleteChangeSet", "ExecuteChangeSet")
        ),
        Patch(
            engine, "CfnLoader", expressions.with_c_parser,
            "a change set reads every nested template; YAML's own parser takes eight times as long",
        ),
        Patch(
            drift._DRIFT_READERS, "AWS::SecretsManager::Secret", lambda pair: (secrets.reader(pair[0]), pair[1]),
            "the physical id of a secret is its ARN, while ministack looks it up by its name",
        ),
        Patch(
            provisioners, "_sm_secret_string", instead(secrets.secret_string),
            "GenerateSecretString as documented: excluded characters, one of each kind, template keys",
        ),
        Patch(
            provisioners, "_cw_metric_alarm_record", monitoring.with_metrics,
            "alarms on expressions over several metrics",
        ),
        *(
            Patch(
                module, "get_state", live(module),
                "the state is saved often; to copy it before takes twice as long as to write it",
            )
            for module in (cloudformation, cloudwatch_logs)
        ),
        Patch(
            cloudwatch, "get_state", live(cloudwatch, *monitoring.SAVED),
            "the state holds keys that JSON cannot; it must survive a restart",
        ),
        Patch(
            cloudwatch, "TWO_WEEKS_SECONDS", instead(monitoring.DAY),
            "the state is written often, so points of metrics are kept for a day",
        ),
        Patch(
            alb, "_target_group_full_name_from_arn", monitoring.with_kind,
            "the attribute begins with its kind, as the dimension of the metrics does",
        ),
        Patch(
            ec2._ACTION_MAP, "DescribeNatGateways", network.with_addresses,
            "a NAT gateway lists its elastic addresses",
        ),
        Patch(
            ec2._ACTION_MAP, "DescribeInstanceTypes", types.described,
            "quotas count vCPUs, so each type has the number that it has on AWS",
        ),
        Patch(
            ec2._ACTION_MAP, "DescribeInstanceTypeOfferings", instead(types.offerings),
            "missing: which zones offer an instance type",
        ),
        Patch(
            ec2, "_instance_xml", types.with_market,
            "Spot instances have a lifecycle, and count against a quota of their own",
        ),
        Patch(
            acm, "_request_certificate", certificates.waiting_for_mail,
            "a certificate that is validated by mail is not issued before somebody has answered",
        ),
        Patch(
            ec2, "_vpce_fields_xml", network.endpoint_xml,
            "an endpoint lists its subnets, groups and policy",
        ),
        Patch(
            ecr, "_layer_blobs", instead(blobs),
            "layers are files: an image would make every save of the state slow, and all of it would be in memory",
        ),
        Patch(
            ssm, "_PUBLIC_AMI_PARAMETERS", network.with_public_images,
            "hosts are launched from Amazon Linux 2023 of both architectures, with or without ECS's agent",
        ),
        Patch(
            autoscaling, "_reconcile_instances", instead(fleet.reconcile),
            "instances are directories with processes, launched and ended by the fleet",
        ),
        *(
            Patch(autoscaling._ACTION_MAP, name, instead(operation), "answered from real instances, or missing")
            for name, operation in scaling.operations().items()
        ),
        *(
            Patch(
                provisioners, name, instead(function),
                "ministack's own update creates and deletes by these names where it replaces a database",
            )
            for name, function in databases.replacements().items()
        ),
    ]  # fmt: skip


def apply(fleet: Fleet, scaling: Scaling, databases: Databases, blobs: Blobs) -> None:
    """Replace them all; called once at start-up."""
    for patch in patches(fleet, scaling, databases, blobs):
        patch.apply()

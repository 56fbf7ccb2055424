"""ECS Managed Instances: capacity providers whose instances ECS starts for tasks that wait, and ends when idle.
docs.aws.amazon.com/AmazonECS/latest/developerguide/ManagedInstances.html

An instance is a record of its cluster without an EC2 instance of the fleet; its tasks are processes all the same.
"""

from __future__ import annotations

import json
import random
import time

from ministack.core.responses import get_region
from ministack.services import ec2, iam

from localcloud.ecs import hosts, platforms
from localcloud.ecs.errors import StartError, client, invalid
from localcloud.ecs.hosts import Hosts
from localcloud.ecs.rights import Rights
from localcloud.ecs.store import Store, new_id, tail
from localcloud.fleet import types

TYPE = "MANAGED_INSTANCES"
KEY = "managedInstancesProvider"
NOT_HERE = (
    "Cannot associate Managed Instances capacity provider to clusters using this API. Managed Instances capacity "
    "providers are already associated with the cluster that they were created with."
)
IDLE_SECONDS = 20.0  # AWS: as `scaleInAfter` says, else as it sees fit
POLICIES = "arn:aws:iam::aws:policy/"
# What counts here of the policies that AWS has for the two roles.
INFRASTRUCTURE = (
    {"Effect": "Allow", "Action": ["ec2:CreateFleet", "ec2:RunInstances", "ec2:TerminateInstances"], "Resource": "*"},
    {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/ecsInstanceRole*",
     "Condition": {"StringLike": {"iam:PassedToService": "ec2.*"}}},
)  # fmt: skip
INSTANCE = ({"Effect": "Allow", "Action": ["ecs:DiscoverPollEndpoint", "ecs:RegisterContainerInstance"],
             "Resource": "*"},)  # fmt: skip
# General-purpose families by who makes their processors, smaller and cheaper sizes first.
FAMILIES = {"amazon-web-services": ("t4g", "m7g"), "intel": ("t3", "m7i"), "amd": ("t3a", "m7a")}
SIZES = ("small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")
BURSTABLE = (".small", ".medium")  # of which other families have none
ARM = "amazon-web-services"


def is_one(store: Store, name: str) -> bool:
    return KEY in (store.providers.get(name) or {})


def check(store: Store, request: dict) -> dict:
    """What a provider is made of. Raises the first thing that AWS would refuse."""
    wanted = request.get(KEY) or {}
    if not request.get("cluster"):
        raise client("A cluster must be specified for a capacity provider of Managed Instances.")
    template = wanted.get("instanceLaunchTemplate") or {}
    role = wanted.get("infrastructureRoleArn", "")
    try:
        Rights(role, "ecs", lambda *_: None, service="ecs.amazonaws.com")
    except StartError:
        raise client(f"Amazon ECS was unable to assume the infrastructure role '{role}'.") from None
    _instance_role(template)
    network = template.get("networkConfiguration") or {}
    if not network.get("subnets"):
        raise client("At least one subnet is required for Managed Instances.")
    unknown = [name for name in network["subnets"] if name not in ec2._subnets]
    unknown += [name for name in network.get("securityGroups") or [] if name not in ec2._security_groups]
    if unknown:
        raise client(f"The network configuration names what does not exist: {', '.join(unknown)}")
    asked = template.get("instanceRequirements")
    if asked is not None and not (
        "min" in asked.get("vCpuCount", {}) and "min" in asked.get("memoryMiB", {})
    ):
        raise client("instanceRequirements must have a minimum of vCpuCount and of memoryMiB.")
    store.cluster(request["cluster"])
    return wanted


def _instance_role(template: dict) -> str:
    """The role of the instance profile, by its ARN."""
    profile = iam._instance_profiles.get(tail(template.get("ec2InstanceProfileArn", ""))) or {}
    role = iam._roles.get(next(iter(profile.get("Roles") or []), ""))
    if role is None:
        raise client("The specified instance profile does not exist or has no role.")
    return role["Arn"]


def join(provider: dict, cluster: dict) -> None:
    """It is in the cluster that it was made for, and in no other."""
    provider["cluster"] = cluster["clusterName"]
    cluster["capacityProviders"] = [*cluster["capacityProviders"], provider["name"]]


def leave(store: Store, name: str) -> None:
    """Raises for a provider with tasks; its idle instances end with it."""
    mine = [host for host in store.hosts.values() if host["local"].get("provider") == name]
    names = {host["containerInstanceArn"] for host in mine}
    live = [t for t in store.tasks.values() if t["lastStatus"] != "STOPPED"]
    if any(t.get("containerInstanceArn") in names or t.get("capacityProviderName") == name for t in live):
        raise client("The specified capacity provider is in use by tasks and cannot be deleted.")
    for host in mine:
        del store.hosts[host["containerInstanceArn"]]
    for cluster in store.clusters.values():
        if name in cluster["capacityProviders"]:
            cluster["capacityProviders"] = [one for one in cluster["capacityProviders"] if one != name]


# -- instances
def start(store: Store, task: dict, definition: dict) -> dict | None:
    """A new instance with room for a task; None if no type that its provider allows has any. Raises StartError if the
    roles do not let ECS start it.
    """
    provider = store.providers[task["capacityProviderName"]]
    template = provider[KEY]["instanceLaunchTemplate"]
    kind = instance_type(template.get("instanceRequirements") or {}, definition, task)
    if kind is None:
        return None
    _may_start(provider, template)
    subnet = random.choice(template["networkConfiguration"]["subnets"])  # noqa: S311 - no secret
    zone = (ec2._subnets.get(subnet) or {}).get("AvailabilityZone") or f"{get_region()}a"
    record = {"InstanceId": f"i-{new_id()[:17]}", "InstanceType": kind, "AvailabilityZone": zone}
    host = hosts.make_record(provider["cluster"], record, {}, {})
    host["local"]["provider"] = provider["name"]
    store.hosts[host["containerInstanceArn"]] = host
    return host


def instance_type(requirements: dict, definition: dict, task: dict) -> str | None:
    """The smallest with room for a task, of those that a provider allows."""
    arm = platforms.wanted(definition) == "arm64"
    makers = requirements.get("cpuManufacturers") or list(FAMILIES)
    families = [one for maker in makers if (maker == ARM) == arm for one in FAMILIES.get(maker, ())]
    vcpus = (requirements.get("vCpuCount") or {}).get("min", 1)
    mib = int((requirements.get("memoryMiB") or {}).get("min", 0) * types.USABLE)
    size = hosts.needs(definition, task)
    for kind in (f"{family}.{name}" for name in SIZES for family in families):
        if kind[0] != "t" and kind.endswith(BURSTABLE):
            continue
        room = hosts.room_of(kind)
        enough = (types.vcpus(kind) or 0) >= vcpus and room["MEMORY"] >= mib
        if enough and all(room[key] >= size[key] for key in size):
            return kind
    return None


def _may_start(provider: dict, template: dict) -> None:
    for name, statements in (("AmazonECSInfrastructureRolePolicyForManagedInstances", INFRASTRUCTURE),
                             ("AmazonECSInstanceRolePolicyForManagedInstances", INSTANCE)):  # fmt: skip
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam._aws_managed_policies[POLICIES + name] = iam._make_aws_managed_record(name, document)
    own = _instance_role(template)
    passed = {"iam:PassedToService": "ec2.amazonaws.com"}
    ecs = Rights(provider[KEY]["infrastructureRoleArn"], "ECSManagedInstancesForCompute", lambda *_: None,
                 passed, "ecs.amazonaws.com")  # fmt: skip
    instance = Rights(own, "i", lambda *_: None, service="ec2.amazonaws.com")
    for rights, action, resource in (
        (ecs, "ec2:RunInstances", "*"), (ecs, "iam:PassRole", own), (instance, "ecs:RegisterContainerInstance", "*"),
    ):  # fmt: skip
        denied = rights.denied(action, resource)
        if denied:
            raise StartError(denied)


def end_idle(store: Store, all_hosts: Hosts) -> None:
    """In the current account and region. A draining instance goes after its last task, others a while later."""
    for host in list(store.hosts.values()):
        local = host["local"]
        if "provider" not in local:
            continue
        if all_hosts.tasks_on(host):
            local["idle_since"] = time.time()
        elif host["status"] == "DRAINING" or time.time() - local["idle_since"] > IDLE_SECONDS:
            del store.hosts[host["containerInstanceArn"]]


def refuse(store: Store, names: list[str]) -> None:
    """A provider that somebody wants to associate with a cluster."""
    if any(is_one(store, name) for name in names):
        raise invalid(NOT_HERE)

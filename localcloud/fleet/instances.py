"""What EC2 and the load balancers tell about the instances of the fleet: records in ministack's own stores.

Also what a launch decides from the group and its launch template: type, market, subnet. Starts no process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ministack.core.responses import get_region
from ministack.services import alb, ec2

GROUP_TAG = "aws:autoscaling:groupName"
ON_DEMAND, SPOT = "on-demand", "spot"


@dataclass(frozen=True)
class Launch:
    """What one new instance is to be."""

    instance_type: str
    market: str
    subnet: str
    zone: str


def template_spec(group: dict) -> dict:
    """The group's launch template, whether it stands alone or in a mixed-instances policy."""
    mixed = (group.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    return mixed.get("LaunchTemplateSpecification") or group.get("LaunchTemplate") or {}


def version_of(spec: dict) -> dict | None:
    """The launch template's version that the specification means."""
    key = spec.get("LaunchTemplateId") or spec.get("LaunchTemplateName") or ""
    template = ec2._launch_templates.get(key) or next(
        (t for t in ec2._launch_templates.values() if t.get("LaunchTemplateName") == key), None
    )
    if template is None:
        return None
    version = str(spec.get("Version") or "$Default")
    number = {
        "$Latest": template["LatestVersionNumber"],
        "$Default": template.get("DefaultVersionNumber", 1),
    }.get(version, version)
    return next((v for v in template["Versions"] if str(v["VersionNumber"]) == str(number)), None)


def subnets(group: dict) -> list[str]:
    return [subnet for subnet in str(group.get("VPCZoneIdentifier") or "").split(",") if subnet]


def zones(group: dict) -> list[str]:
    """Those of the group's subnets, in their order."""
    found = [ec2._subnets[s]["AvailabilityZone"] for s in subnets(group) if s in ec2._subnets]
    return list(dict.fromkeys(found)) or list(group.get("AvailabilityZones") or []) or [f"{get_region()}a"]


def plan(group: dict, live: list[dict]) -> Launch:
    """The next instance, given those that live: the emptiest subnet, and the market that the group's shares ask for."""
    places = subnets(group)
    used = [entry.get("SubnetId", "") for entry in live]
    subnet = min(places, key=used.count) if places else ""
    names = zones(group)
    zone = (ec2._subnets.get(subnet) or {}).get("AvailabilityZone") or names[len(live) % len(names)]
    policy = group.get("MixedInstancesPolicy") or {}
    data = (version_of(template_spec(group)) or {}).get("LaunchTemplateData") or {}
    types = [o["InstanceType"] for o in (policy.get("LaunchTemplate") or {}).get("Overrides") or []]
    types = types or [str(data.get("InstanceType") or "t3.micro")]
    market = _market(policy.get("InstancesDistribution") or {}, live)
    # On demand the first type is taken; Spot is spread over all of them.
    spots = sum(entry.get("Market") == SPOT for entry in live)
    return Launch(types[spots % len(types)] if market == SPOT else types[0], market, subnet, zone)


def _market(shares: dict, live: list[dict]) -> str:
    base = int(shares.get("OnDemandBaseCapacity") or 0)
    percent = int(shares.get("OnDemandPercentageAboveBaseCapacity", 100))
    total = len(live) + 1
    wanted = min(total, base) + math.ceil(max(total - base, 0) * percent / 100)
    return ON_DEMAND if sum(entry.get("Market") != SPOT for entry in live) < wanted else SPOT


def record(group: dict, launch: Launch) -> str:
    """Make the EC2 record of a new instance; answers its id."""
    data = (version_of(template_spec(group)) or {}).get("LaunchTemplateData") or {}
    made = ec2._launch_instances_internal(
        image_id=str(data.get("ImageId") or "ami-00000000"),
        instance_type=launch.instance_type,
        subnet_id=launch.subnet or ec2._DEFAULT_SUBNET_ID,
        count=1,
        sg_ids=[str(name) for name in data.get("SecurityGroupIds") or []],
        requested_private_ip="127.0.0.1",
        iam_profile=_profile(data),
    )[0]
    made["Placement"]["AvailabilityZone"] = launch.zone
    if launch.market == SPOT:
        made["InstanceLifecycle"] = SPOT
    disk = next((m["Ebs"] for m in data.get("BlockDeviceMappings") or [] if m.get("Ebs")), {})
    tags = _tags(group, data, "instance")
    ec2._tags[made["InstanceId"]] = [
        {"Key": GROUP_TAG, "Value": group["AutoScalingGroupName"]},
        *({"Key": key, "Value": value} for key, value in tags.items()),
    ]
    for mapping in made["BlockDeviceMappings"]:
        volume = ec2._volumes[mapping["Ebs"]["VolumeId"]]
        volume.update(
            Size=int(disk.get("VolumeSize") or 8),
            Encrypted=str(disk.get("Encrypted", False)).lower() == "true",
            AvailabilityZone=launch.zone,
        )
        ec2._tags[volume["VolumeId"]] = [
            {"Key": key, "Value": value} for key, value in _tags(None, data, "volume").items()
        ]
    return made["InstanceId"]


def _profile(data: dict) -> dict | None:
    profile = data.get("IamInstanceProfile") or {}
    if not profile:
        return None
    found, _ = ec2._resolve_iam_instance_profile(
        iam_arn=profile.get("Arn"), iam_name=profile.get("Name"), allow_missing=True
    )
    return found


def _tags(group: dict | None, data: dict, kind: str) -> dict[str, str]:
    specs = [s for s in data.get("TagSpecifications") or [] if s.get("ResourceType") == kind]
    tags = {str(t["Key"]): str(t["Value"]) for spec in specs for t in spec.get("Tags") or []}
    for tag in (group or {}).get("Tags") or []:
        if tag.get("PropagateAtLaunch"):
            tags[tag["Key"]] = str(tag["Value"])
    return tags


def tags_of(instance_id: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in ec2._tags.get(instance_id) or []}


def profile_of(instance_id: str) -> str:
    """The name of its instance profile."""
    profile = (ec2._instances.get(instance_id) or {}).get("IamInstanceProfile") or {}
    return str(profile.get("Arn", "")).rpartition("/")[2]


def forget(instance_id: str) -> None:
    """Nothing of a terminated instance stays; AWS shows it for an hour more."""
    for targets in alb._targets.values():
        targets[:] = [target for target in targets if target["Id"] != instance_id]
    made = ec2._instances.get(instance_id)
    if made is None:
        return
    for mapping in made.get("BlockDeviceMappings", []):
        ec2._tags.pop(mapping["Ebs"]["VolumeId"], None)
    ec2._discard_instance_records(made)
    ec2._tags.pop(instance_id, None)


def forget_strays(known: set[str]) -> None:
    """After a crash: records of instances that the fleet does not know."""
    for instance_id in list(ec2._instances):
        if instance_id not in known and GROUP_TAG in tags_of(instance_id):
            forget(instance_id)


def sync_targets(group: dict, dropped: set[str] = frozenset()) -> None:
    """Have the group's target groups list its instances in service, and those it no longer names none of them."""
    mine = {entry["InstanceId"] for entry in group["Instances"]}
    ready = [e["InstanceId"] for e in group["Instances"] if e["LifecycleState"] == "InService"]
    for arn in {*dropped, *(group.get("TargetGroupARNs") or [])} & set(alb._tgs):
        others = [t for t in alb._targets.get(arn, []) if t["Id"] not in mine]
        port = alb._tgs[arn].get("Port") or 80
        listed = [] if arn in dropped else [{"Id": name, "Port": port} for name in sorted(ready)]
        alb._targets[arn] = others + listed

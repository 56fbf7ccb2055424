"""How a resource type of ours gets into ministack's CloudFormation. Holds no resource type itself."""

from __future__ import annotations

from collections.abc import Iterable

from ministack.core.responses import new_uuid
from ministack.services.cloudformation import provisioners, stacks

from localcloud.shapes import Create, Delete, Update

# Types whose handlers wait for a process or a thread; ministack then runs them off its event loop.
_blocking: set[str] = set()
# Create-only properties, for what DescribeChangeSet says about replacement, of types that ministack has no
# entry for.
CREATE_ONLY: dict[str, tuple[str, ...]] = {
    "AWS::AutoScaling::AutoScalingGroup": ("AutoScalingGroupName", "InstanceId"),
    "AWS::AutoScaling::ScalingPolicy": ("AutoScalingGroupName",),
    "AWS::AutoScaling::ScheduledAction": ("AutoScalingGroupName",),
    "AWS::CloudFormation::Stack": (),
    "AWS::CodeDeploy::Application": ("ApplicationName", "ComputePlatform"),
    "AWS::CodeDeploy::DeploymentConfig": (
        "DeploymentConfigName",
        "ComputePlatform",
        "MinimumHealthyHosts",
        "TrafficRoutingConfig",
        "ZonalConfig",
    ),
    "AWS::CodeDeploy::DeploymentGroup": ("ApplicationName", "DeploymentGroupName"),
    "AWS::EC2::EIP": ("Domain", "NetworkBorderGroup", "TransferAddress"),
    "AWS::EC2::LaunchTemplate": ("LaunchTemplateName",),
    "AWS::EC2::NatGateway": ("SubnetId", "AllocationId", "ConnectivityType"),
    "AWS::EC2::SecurityGroup": ("GroupName", "GroupDescription", "VpcId"),
    "AWS::EC2::SecurityGroupIngress": (
        "GroupId",
        "IpProtocol",
        "FromPort",
        "ToPort",
        "CidrIp",
        "CidrIpv6",
        "SourceSecurityGroupId",
        "SourcePrefixListId",
    ),
    "AWS::EC2::Subnet": ("VpcId", "CidrBlock", "AvailabilityZone"),
    "AWS::EC2::VPC": ("CidrBlock", "InstanceTenancy"),
    "AWS::IAM::OIDCProvider": ("Url",),
    "AWS::IAM::Policy": (),
    "AWS::S3::Bucket": ("BucketName", "ObjectLockEnabled"),
    "AWS::S3::BucketPolicy": ("Bucket",),
    "AWS::SQS::QueuePolicy": (),
    "AWS::SecretsManager::Secret": ("Name",),
}


def register(
    resource_type: str,
    create: Create,
    delete: Delete,
    update: Update | None = None,
    *,
    snapshot: Delete | None = None,
    blocking: bool = False,
) -> None:
    """Make the handlers (their arguments: shapes.py) those of the type, in place of ministack's own."""
    handler: dict[str, object] = {"create": create, "delete": delete}
    if update is not None:
        handler.update(update=update, update_with_logical_id=True)
    if snapshot is not None:
        handler["snapshot"] = snapshot
    provisioners._RESOURCE_HANDLERS[resource_type] = handler
    if blocking:
        _blocking.add(resource_type)


def finish() -> None:
    """Call once, after every register."""
    original = stacks._runs_on_worker_thread

    def runs_on_worker_thread(resource_type: str) -> bool:
        return resource_type in _blocking or original(resource_type)

    stacks._runs_on_worker_thread = runs_on_worker_thread
    for resource_type, names in CREATE_ONLY.items():
        provisioners._REPLACING_PROPERTIES.setdefault(resource_type, names)


def draw_name(props: dict, key: str) -> None:
    """Give an unnamed resource a name of its own, as AWS does: one that a stack of the same name left
    behind (kept by a policy, or by a crash) is then not in the way. ministack keeps the seed with the
    resource.
    """
    if not props.get(key) and not provisioners._NAME_SEED.get():
        provisioners._NAME_SEED.set(new_uuid()[:8])


def truth(value: object) -> bool:
    """A template's boolean, which may be a string."""
    return str(value).lower() == "true"


def tags_of(props: dict, keys: Iterable[str] = ("Tags",)) -> list[dict]:
    for key in keys:
        if props.get(key):
            return [{"Key": str(t.get("Key", "")), "Value": str(t.get("Value", ""))} for t in props[key]]
    return []

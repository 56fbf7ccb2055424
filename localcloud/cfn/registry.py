"""How a resource type of ours gets into ministack's CloudFormation. Holds no resource type itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ministack.core.responses import new_uuid
from ministack.services.cloudformation import provisioners

from localcloud.emulator.shapes import Create, Delete, Made, Update

# Types whose handlers wait for a process or a thread; ministack then runs them off its event loop.
_blocking: set[str] = set()
# Create-only properties, for what DescribeChangeSet says about replacement, of types that ministack has no
# entry for.
CREATE_ONLY: dict[str, tuple[str, ...]] = {
    "AWS::Athena::NamedQuery": ("Database", "Description", "Name", "QueryString", "WorkGroup"),
    "AWS::AutoScaling::AutoScalingGroup": ("AutoScalingGroupName", "InstanceId"),
    "AWS::AutoScaling::ScalingPolicy": ("AutoScalingGroupName",),
    "AWS::AutoScaling::ScheduledAction": ("AutoScalingGroupName",),
    "AWS::Backup::BackupSelection": ("BackupPlanId", "BackupSelection"),
    "AWS::Budgets::Budget": (),
    "AWS::CloudFormation::Stack": (),
    "AWS::CloudTrail::Trail": ("TrailName",),
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
    "AWS::EC2::FlowLog": (
        "ResourceId",
        "ResourceType",
        "TrafficType",
        "LogDestinationType",
        "LogDestination",
        "LogGroupName",
        "DeliverLogsPermissionArn",
        "LogFormat",
        "MaxAggregationInterval",
    ),
    "AWS::EC2::LaunchTemplate": ("LaunchTemplateName",),
    "AWS::EC2::NatGateway": ("SubnetId", "AllocationId", "ConnectivityType"),
    "AWS::EC2::PrefixList": ("AddressFamily",),
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
    "AWS::EC2::SecurityGroupEgress": (
        "GroupId",
        "IpProtocol",
        "FromPort",
        "ToPort",
        "CidrIp",
        "CidrIpv6",
        "DestinationSecurityGroupId",
        "DestinationPrefixListId",
    ),
    "AWS::EC2::Subnet": ("VpcId", "CidrBlock", "AvailabilityZone"),
    "AWS::EC2::VPC": ("CidrBlock", "InstanceTenancy"),
    "AWS::ApplicationAutoScaling::ScalableTarget": ("ResourceId", "ScalableDimension", "ServiceNamespace"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (
        "PolicyName",
        "ResourceId",
        "ScalableDimension",
        "ScalingTargetId",
        "ServiceNamespace",
    ),
    "AWS::ECS::CapacityProvider": ("Name", "ClusterName"),
    "AWS::ECS::Cluster": ("ClusterName",),
    "AWS::ECS::ClusterCapacityProviderAssociations": ("Cluster",),
    "AWS::ECS::Service": (
        "Cluster",
        "DeploymentController",
        "LaunchType",
        "Role",
        "SchedulingStrategy",
        "ServiceName",
    ),
    "AWS::IAM::OIDCProvider": ("Url",),
    "AWS::IAM::Policy": (),
    "AWS::IAM::RolePolicy": ("PolicyName", "RoleName"),
    "AWS::S3::Bucket": ("BucketName", "ObjectLockEnabled"),
    "AWS::S3::BucketPolicy": ("Bucket",),
    "AWS::SQS::QueuePolicy": (),
    "AWS::SecretsManager::Secret": ("Name",),
    "AWS::WAFv2::WebACLAssociation": ("ResourceArn", "WebACLArn"),
}
# Types that take the stack's tags, of those that ministack's own list lacks: the property and its shape.
TAGGED = {
    "AWS::Budgets::Budget": ("ResourceTags", "list"),
    "AWS::CloudTrail::Trail": ("Tags", "list"),
    "AWS::CodeDeploy::Application": ("Tags", "list"),
    "AWS::CodeDeploy::DeploymentGroup": ("Tags", "list"),
    "AWS::EC2::EIP": ("Tags", "list"),
    "AWS::EC2::FlowLog": ("Tags", "list"),
    "AWS::EC2::NatGateway": ("Tags", "list"),
    "AWS::EC2::PrefixList": ("Tags", "list"),
    "AWS::ECS::CapacityProvider": ("Tags", "list"),
    "AWS::ECS::TaskDefinition": ("Tags", "list"),
    "AWS::ElastiCache::ParameterGroup": ("Tags", "list"),
    "AWS::ElastiCache::ReplicationGroup": ("Tags", "list"),
    "AWS::ElastiCache::SubnetGroup": ("Tags", "list"),
    "AWS::IAM::OIDCProvider": ("Tags", "list"),
    "AWS::RDS::DBCluster": ("Tags", "list"),
    "AWS::Route53::HostedZone": ("HostedZoneTags", "list"),
    "AWS::S3::Bucket": ("Tags", "list"),
    "AWS::WAFv2::WebACL": ("Tags", "list"),
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


def extend(resource_type: str, complete: Callable[[str, dict], None]) -> None:
    """Have `complete(physical id, properties)` follow each create and update of a type that ministack has, for
    the properties it leaves out.
    """
    handler = provisioners._RESOURCE_HANDLERS[resource_type]
    create, update = handler["create"], handler["update"]
    with_logical_id = handler.get("update_with_logical_id")

    def created(logical_id: str, props: dict, stack_name: str) -> Made:
        made = create(logical_id, props, stack_name)
        complete(made[0], props)
        return made

    def updated(
        physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        more = (logical_id,) if with_logical_id else ()
        made = update(physical_id, old, new, stack_name, *more)
        complete(made[0], new)
        return made

    handler.update(create=created, update=updated, update_with_logical_id=True)


def on_worker_thread(original: Callable[[str], bool]) -> Callable[[str], bool]:
    """Whether a type waits for something: ours, and those that ministack knows."""
    return lambda resource_type: resource_type in _blocking or original(resource_type)


def finish() -> None:
    """Call once, after every register."""
    for resource_type, names in CREATE_ONLY.items():
        provisioners._REPLACING_PROPERTIES.setdefault(resource_type, names)
    for resource_type, where in TAGGED.items():
        provisioners._STACK_TAG_PROPERTY.setdefault(resource_type, where)


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

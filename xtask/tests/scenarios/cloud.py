"""Asks the services of the local cloud what they have: one JSON document, by kind, as their APIs describe it.

`cloud.py look --state DIR` prints everything; `cloud.py prepare --state DIR` makes what an account has before
Ductwork comes (a network, a certificate, a zone, secrets) and prints its ids. A service that does not answer is an
error: an assertion on nothing would always hold.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.exceptions import ClientError

REGION, ACCOUNT = "us-east-1", "000000000000"
ECS = {"ServiceNamespace": "ecs"}

# kind: service, operation, where the list is in its answer, name of the id, arguments.
LISTS: dict[str, tuple[str, str, str, str, dict[str, Any]]] = {
    "vpcs": ("ec2", "describe_vpcs", "Vpcs", "VpcId", {}),
    "subnets": ("ec2", "describe_subnets", "Subnets", "SubnetId", {}),
    "route_tables": ("ec2", "describe_route_tables", "RouteTables", "RouteTableId", {}),
    "internet_gateways": ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId", {}),
    "nat_gateways": ("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId", {}),
    "addresses": ("ec2", "describe_addresses", "Addresses", "AllocationId", {}),
    "endpoints": ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", {}),
    "flow_logs": ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId", {}),
    "security_groups": ("ec2", "describe_security_groups", "SecurityGroups", "GroupId", {}),
    "prefix_lists": ("ec2", "describe_managed_prefix_lists", "PrefixLists", "PrefixListId", {}),
    "launch_templates": ("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId", {}),
    "groups": ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName", {}),
    "schedules": (
        "autoscaling", "describe_scheduled_actions", "ScheduledUpdateGroupActions", "ScheduledActionName", {}),
    "databases": ("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier", {}),
    "clusters": ("rds", "describe_db_clusters", "DBClusters", "DBClusterIdentifier", {}),
    "database_subnets": ("rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName", {}),
    "database_parameters": ("rds", "describe_db_parameter_groups", "DBParameterGroups", "DBParameterGroupName", {}),
    "cluster_parameters": (
        "rds", "describe_db_cluster_parameter_groups", "DBClusterParameterGroups", "DBClusterParameterGroupName", {}),
    "snapshots": ("rds", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier", {}),
    "cluster_snapshots": (
        "rds", "describe_db_cluster_snapshots", "DBClusterSnapshots", "DBClusterSnapshotIdentifier", {}),
    "caches": ("elasticache", "describe_replication_groups", "ReplicationGroups", "ReplicationGroupId", {}),
    "file_systems": ("efs", "describe_file_systems", "FileSystems", "FileSystemId", {}),
    "access_points": ("efs", "describe_access_points", "AccessPoints", "AccessPointId", {}),
    "balancers": ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn", {}),
    "target_groups": ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArn", {}),
    "firewalls": ("wafv2", "list_web_acls", "WebACLs", "ARN", {"Scope": "REGIONAL"}),
    "certificates": ("acm", "list_certificates", "CertificateSummaryList", "CertificateArn", {}),
    "zones": ("route53", "list_hosted_zones", "HostedZones", "Id", {}),
    "queues": ("sqs", "list_queues", "QueueUrls", "", {}),
    "topics": ("sns", "list_topics", "Topics", "TopicArn", {}),
    "subscriptions": ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn", {}),
    "buckets": ("s3", "list_buckets", "Buckets", "Name", {}),
    "secrets": ("secretsmanager", "list_secrets", "SecretList", "ARN", {}),
    "keys": ("kms", "list_keys", "Keys", "KeyId", {}),
    "key_aliases": ("kms", "list_aliases", "Aliases", "AliasName", {}),
    "log_groups": ("logs", "describe_log_groups", "logGroups", "logGroupName", {}),
    "alarms": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName", {}),
    "dashboards": ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName", {}),
    "budgets": (
        "budgets", "describe_budgets", "Budgets", "BudgetName", {"AccountId": ACCOUNT, "ShowFilterExpression": True}),
    "trails": ("cloudtrail", "describe_trails", "trailList", "Name", {}),
    "vaults": ("backup", "list_backup_vaults", "BackupVaultList", "BackupVaultName", {}),
    "backup_plans": ("backup", "list_backup_plans", "BackupPlansList", "BackupPlanId", {}),
    "roles": ("iam", "list_roles", "Roles", "RoleName", {}),
    "policies": ("iam", "list_policies", "Policies", "Arn", {"Scope": "Local"}),
    "profiles": ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName", {}),
    "identity_providers": ("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn", {}),
    "repositories": ("ecr", "describe_repositories", "repositories", "repositoryName", {}),
    "applications": ("codedeploy", "list_applications", "applications", "", {}),
    "task_clusters": ("ecs", "list_clusters", "clusterArns", "", {}),
    "task_definitions": ("ecs", "list_task_definitions", "taskDefinitionArns", "", {}),
    "capacity_providers": ("ecs", "describe_capacity_providers", "capacityProviders", "name", {"include": ["TAGS"]}),
    "scalable_targets": (
        "application-autoscaling", "describe_scalable_targets", "ScalableTargets", "ResourceId", ECS),
    "scaling_policies": (
        "application-autoscaling", "describe_scaling_policies", "ScalingPolicies", "PolicyARN", ECS),
    "task_schedules": (
        "application-autoscaling", "describe_scheduled_actions", "ScheduledActions", "ScheduledActionARN", ECS),
    "namespaces": ("servicediscovery", "list_namespaces", "Namespaces", "Id", {}),
    "discovered": ("servicediscovery", "list_services", "Services", "Id", {}),
    "streams": ("firehose", "list_delivery_streams", "DeliveryStreamNames", "", {}),
    "tables": ("glue", "get_databases", "DatabaseList", "Name", {}),
    "workgroups": ("athena", "list_work_groups", "WorkGroups", "Name", {}),
    "parameters": ("ssm", "describe_parameters", "Parameters", "Name", {}),
    "stacks": ("cloudformation", "describe_stacks", "Stacks", "StackName", {}),
}  # fmt: skip

Item = dict[str, Any]


class Cloud:
    """The services, with answers of all pages."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._session = boto3.Session("local", "local", region_name=REGION)
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._endpoint)

    def list(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        """The items of a list, of all its pages."""
        client = self.client(service)
        if not client.can_paginate(operation):
            yield from getattr(client, operation)(**arguments).get(key) or []
            return
        for page in client.get_paginator(operation).paginate(**arguments):
            yield from page.get(key) or []

    def kind(self, name: str) -> dict[str, Item]:
        """Everything of a kind, by id, with what its own list leaves out."""
        service, operation, key, id_name, arguments = LISTS[name]
        found = {}
        for item in self.list(service, operation, key, **arguments):
            one: Item = item if isinstance(item, dict) else {"Id": item}
            found[str(one[id_name] if id_name else item)] = one
        more = MORE.get(name)
        return {key: {**item, **(more(self, item) if more else {})} for key, item in found.items()}


def _launch_template(cloud: Cloud, item: Item) -> Item:
    ask = cloud.client("ec2").describe_launch_template_versions
    answer = ask(LaunchTemplateId=item["LaunchTemplateId"], Versions=["$Latest"])
    return {"Data": answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]}


def _prefix_list(cloud: Cloud, item: Item) -> Item:
    name = {"PrefixListId": item["PrefixListId"]}
    return {"Entries": list(cloud.list("ec2", "get_managed_prefix_list_entries", "Entries", **name))}


def _group(cloud: Cloud, item: Item) -> Item:
    name = item["AutoScalingGroupName"]
    hooks = cloud.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=name)
    return {"LifecycleHooks": hooks["LifecycleHooks"]}


def _parameters(operation: str, argument: str) -> Callable[[Cloud, Item], Item]:
    def more(cloud: Cloud, item: Item) -> Item:
        listed = cloud.list("rds", operation, "Parameters", **{argument: item[argument]})
        return {"Parameters": {one["ParameterName"]: one.get("ParameterValue") for one in listed}}

    return more


def _file_system(cloud: Cloud, item: Item) -> Item:
    targets = cloud.list("efs", "describe_mount_targets", "MountTargets", FileSystemId=item["FileSystemId"])
    return {"MountTargets": list(targets)}


def _attributes(operation: str, argument: str) -> Callable[[Cloud, Item], Item]:
    def more(cloud: Cloud, item: Item) -> Item:
        answer = getattr(cloud.client("elbv2"), operation)(**{argument: item[argument]})
        return {"Attributes": {one["Key"]: one["Value"] for one in answer["Attributes"]}}

    return more


def _balancer(cloud: Cloud, item: Item) -> Item:
    arn = {"LoadBalancerArn": item["LoadBalancerArn"]}
    more = _attributes("describe_load_balancer_attributes", "LoadBalancerArn")(cloud, item)
    tags = cloud.client("elbv2").describe_tags(ResourceArns=[item["LoadBalancerArn"]])["TagDescriptions"]
    return more | {
        "Listeners": [
            one
            | {"Rules": list(cloud.list("elbv2", "describe_rules", "Rules", ListenerArn=one["ListenerArn"]))}
            for one in cloud.list("elbv2", "describe_listeners", "Listeners", **arn)
        ],
        "Tags": tags[0]["Tags"] if tags else [],
    }


def _firewall(cloud: Cloud, item: Item) -> Item:
    ask = cloud.client("wafv2").list_resources_for_web_acl
    return {"Guarded": ask(WebACLArn=item["ARN"], ResourceType="APPLICATION_LOAD_BALANCER")["ResourceArns"]}


def _queue(cloud: Cloud, item: Item) -> Item:
    sqs = cloud.client("sqs")
    answer = sqs.get_queue_attributes(QueueUrl=item["Id"], AttributeNames=["All"])
    return answer["Attributes"] | {"Tags": sqs.list_queue_tags(QueueUrl=item["Id"]).get("Tags", {})}


def _bucket(cloud: Cloud, item: Item) -> Item:
    s3 = cloud.client("s3")

    def ask(operation: str) -> Item:
        try:
            answer: Item = getattr(s3, operation)(Bucket=item["Name"])
        except ClientError as error:
            return {"Error": error.response["Error"]["Code"]}
        answer.pop("ResponseMetadata", None)
        return answer

    names = ("encryption", "policy", "lifecycle_configuration", "versioning", "tagging")
    return {name: ask(f"get_bucket_{name}") for name in names} | {"block": ask("get_public_access_block")}


def _key(cloud: Cloud, item: Item) -> Item:
    kms = cloud.client("kms")
    about: Item = kms.describe_key(KeyId=item["KeyId"])["KeyMetadata"]
    if about["KeyState"] != "Enabled":
        return about
    rotation = kms.get_key_rotation_status(KeyId=item["KeyId"]).get("KeyRotationEnabled")
    tags = kms.list_resource_tags(KeyId=item["KeyId"])["Tags"]
    tags = [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in tags]
    return about | {"Rotation": rotation, "Tags": tags}


def _secret(cloud: Cloud, item: Item) -> Item:
    return {"KmsKeyId": cloud.client("secretsmanager").describe_secret(SecretId=item["ARN"]).get("KmsKeyId")}


def _topic(cloud: Cloud, item: Item) -> Item:
    sns = cloud.client("sns")
    tags = sns.list_tags_for_resource(ResourceArn=item["TopicArn"])["Tags"]
    return sns.get_topic_attributes(TopicArn=item["TopicArn"])["Attributes"] | {"Tags": tags}


def _zone(cloud: Cloud, item: Item) -> Item:
    records = cloud.list(
        "route53", "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=item["Id"]
    )
    return {"Records": list(records)}


def _cache(cloud: Cloud, item: Item) -> Item:
    answer = cloud.client("elasticache").list_tags_for_resource(ResourceName=item["ARN"])
    return {"Tags": answer["TagList"]}


def _log_group(cloud: Cloud, item: Item) -> Item:
    arn = item["arn"].removesuffix(":*")
    return {"Tags": cloud.client("logs").list_tags_for_resource(resourceArn=arn)["tags"]}


def _document(document: Any) -> Any:
    return json.loads(unquote(document)) if isinstance(document, str) else document


def _role(cloud: Cloud, item: Item) -> Item:
    iam, name = cloud.client("iam"), item["RoleName"]
    inline = {
        policy: _document(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
        for policy in cloud.list("iam", "list_role_policies", "PolicyNames", RoleName=name)
    }
    attached = cloud.list("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name)
    tags = iam.list_role_tags(RoleName=name)["Tags"]
    return {"Inline": inline, "Attached": [one["PolicyArn"] for one in attached], "Tags": tags}


def _policy(cloud: Cloud, item: Item) -> Item:
    ask = cloud.client("iam").get_policy_version
    version = ask(PolicyArn=item["Arn"], VersionId=item["DefaultVersionId"])["PolicyVersion"]
    return {"Document": _document(version["Document"])}


def _application(cloud: Cloud, item: Item) -> Item:
    name = {"applicationName": item["Id"]}
    groups = cloud.list("codedeploy", "list_deployment_groups", "deploymentGroups", **name)
    ask = cloud.client("codedeploy").get_deployment_group
    return {"Groups": [ask(deploymentGroupName=group, **name)["deploymentGroupInfo"] for group in groups]}


def _parameter(cloud: Cloud, item: Item) -> Item:
    return {"Value": cloud.client("ssm").get_parameter(Name=item["Name"])["Parameter"]["Value"]}


def _task_cluster(cloud: Cloud, item: Item) -> Item:
    """With its services and tasks, by name: they go with it."""
    ecs, cluster = cloud.client("ecs"), item["Id"]
    about = ecs.describe_clusters(clusters=[cluster], include=["CONFIGURATIONS", "SETTINGS", "TAGS"])[
        "clusters"
    ]
    services = list(cloud.list("ecs", "list_services", "serviceArns", cluster=cluster))
    tasks = list(cloud.list("ecs", "list_tasks", "taskArns", cluster=cluster))
    described = [
        one
        for ten in range(0, len(services), 10)
        for one in ecs.describe_services(
            cluster=cluster, services=services[ten : ten + 10], include=["TAGS"]
        )["services"]
    ]
    running = ecs.describe_tasks(cluster=cluster, tasks=tasks, include=["TAGS"])["tasks"] if tasks else []
    return about[0] | {
        "Services": {one["serviceName"]: one for one in described},
        "Tasks": running,
        "Hosts": _task_hosts(cloud, cluster),
    }


def _task_hosts(cloud: Cloud, cluster: str) -> list[Item]:
    """The instances of a cluster, each with how it is paid for."""
    ecs = cloud.client("ecs")
    names = list(cloud.list("ecs", "list_container_instances", "containerInstanceArns", cluster=cluster))
    if not names:
        return []
    hosts = ecs.describe_container_instances(cluster=cluster, containerInstances=names)["containerInstances"]
    ids = [host["ec2InstanceId"] for host in hosts]
    told = cloud.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    lifecycles = {
        one["InstanceId"]: one.get("InstanceLifecycle") for some in told for one in some["Instances"]
    }
    return [host | {"Lifecycle": lifecycles[host["ec2InstanceId"]]} for host in hosts]


def _task_definition(cloud: Cloud, item: Item) -> Item:
    answer = cloud.client("ecs").describe_task_definition(taskDefinition=item["Id"], include=["TAGS"])
    return answer["taskDefinition"] | {"tags": answer.get("tags", [])}


def _stream(cloud: Cloud, item: Item) -> Item:
    ask = cloud.client("firehose").describe_delivery_stream
    return dict(ask(DeliveryStreamName=item["Id"])["DeliveryStreamDescription"])


def _tables(cloud: Cloud, item: Item) -> Item:
    return {"Tables": list(cloud.list("glue", "get_tables", "TableList", DatabaseName=item["Name"]))}


def _workgroup(cloud: Cloud, item: Item) -> Item:
    athena = cloud.client("athena")
    ids = list(cloud.list("athena", "list_named_queries", "NamedQueryIds", WorkGroup=item["Name"]))
    queries = athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"] if ids else []
    return {"Queries": {one["Name"]: one for one in queries}}


def _budget(cloud: Cloud, item: Item) -> Item:
    name = {"AccountId": ACCOUNT, "BudgetName": item["BudgetName"]}
    return {
        "Notifications": list(
            cloud.list("budgets", "describe_notifications_for_budget", "Notifications", **name)
        )
    }


def _backup_plan(cloud: Cloud, item: Item) -> Item:
    backup, name = cloud.client("backup"), {"BackupPlanId": item["BackupPlanId"]}
    selections = [
        backup.get_backup_selection(SelectionId=one["SelectionId"], **name)["BackupSelection"]
        for one in cloud.list("backup", "list_backup_selections", "BackupSelectionsList", **name)
    ]
    return {"Plan": backup.get_backup_plan(**name)["BackupPlan"], "Selections": selections}


def _stack(cloud: Cloud, item: Item) -> Item:
    listed = cloud.list(
        "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=item["StackId"]
    )
    return {
        "Outputs": {one["OutputKey"]: one["OutputValue"] for one in item.get("Outputs", [])},
        "Parameters": {one["ParameterKey"]: one["ParameterValue"] for one in item.get("Parameters", [])},
        "Resources": {one["LogicalResourceId"]: one.get("PhysicalResourceId") for one in listed},
    }


MORE: dict[str, Callable[[Cloud, Item], Item]] = {
    "prefix_lists": _prefix_list,
    "launch_templates": _launch_template,
    "groups": _group,
    "database_parameters": _parameters("describe_db_parameters", "DBParameterGroupName"),
    "cluster_parameters": _parameters("describe_db_cluster_parameters", "DBClusterParameterGroupName"),
    "caches": _cache,
    "file_systems": _file_system,
    "balancers": _balancer,
    "target_groups": _attributes("describe_target_group_attributes", "TargetGroupArn"),
    "firewalls": _firewall,
    "zones": _zone,
    "queues": _queue,
    "topics": _topic,
    "buckets": _bucket,
    "secrets": _secret,
    "keys": _key,
    "budgets": _budget,
    "backup_plans": _backup_plan,
    "log_groups": _log_group,
    "roles": _role,
    "policies": _policy,
    "applications": _application,
    "task_clusters": _task_cluster,
    "task_definitions": _task_definition,
    "streams": _stream,
    "tables": _tables,
    "workgroups": _workgroup,
    "parameters": _parameter,
    "stacks": _stack,
}
# What is as good as gone, though its service still lists it.
GONE: dict[str, Callable[[Item], bool]] = {
    "keys": lambda key: key["KeyState"] == "PendingDeletion",
    "nat_gateways": lambda gateway: gateway["State"] in ("deleting", "deleted"),
    "stacks": lambda stack: stack["StackStatus"] == "DELETE_COMPLETE",
    "secrets": lambda secret: bool(secret.get("DeletedDate")),
    "task_clusters": lambda cluster: cluster["status"] == "INACTIVE",
}


def look(cloud: Cloud) -> dict[str, dict[str, Item]]:
    """Everything, by kind and id."""

    def ask(kind: str) -> dict[str, Item]:
        try:
            found = cloud.kind(kind)
        except ClientError as error:
            raise SystemExit(f"error: {kind}: {error}") from None
        gone = GONE.get(kind, lambda _: False)
        return {key: item for key, item in found.items() if not gone(item)}

    for kind in LISTS:  # making clients is not safe in threads
        cloud.client(LISTS[kind][0])
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(LISTS, pool.map(ask, LISTS), strict=True))


def prepare(cloud: Cloud) -> dict[str, Any]:
    """What an account may have before: a network of two zones, a certificate, a zone of Route 53, secrets."""
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.99.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")[
            "Subnet"
        ]
        for number, zone in enumerate("abab")
    ]
    ids = [subnet["SubnetId"] for subnet in subnets]
    certificate = cloud.client("acm").request_certificate(
        DomainName="airflow.example.com", ValidationMethod="DNS"
    )
    zone = cloud.client("route53").create_hosted_zone(Name="example.com", CallerReference="scenarios")
    # The first environment runs more than a new account may.
    cloud.client("service-quotas").request_service_quota_increase(
        ServiceCode="ec2", QuotaCode="L-1216C47A", DesiredValue=64
    )
    secrets = cloud.client("secretsmanager")
    url = "mysql://airflow:secret@db.example.com:3306/airflow"
    secrets.create_secret(Name="ductwork/local/login/google", SecretString="client-secret")
    smtp = "smtp://user:password@mail.example.com"
    secrets.create_secret(Name="ductwork/local/connections/smtp_default", SecretString=smtp)
    return {
        "vpc": vpc,
        "private": ids[:2],
        "public": ids[2:],
        "certificate": certificate["CertificateArn"],
        "zone": zone["HostedZone"]["Id"].rpartition("/")[2],
        "database_url": secrets.create_secret(Name="elsewhere/database", SecretString=url)["ARN"],
    }


def plain(value: Any) -> str:
    """Times and bytes of boto3, for JSON."""
    return value.decode() if isinstance(value, bytes) else re.sub(r"\+00:00$", "Z", str(value))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("look", "prepare"))
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args()
    endpoint = json.loads((options.state / "cloud.json").read_text(encoding="utf-8"))["endpoint"]
    done = (look if options.verb == "look" else prepare)(Cloud(endpoint))
    json.dump(done, sys.stdout, default=plain)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Resource types as the templates use them: made, changed, changed back and deleted, and read through the services."""

from __future__ import annotations

import base64
import hashlib
import json
from email.utils import parsedate_to_datetime

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.conftest import RunningCloud, Stacks
from localcloud.tests.fleetkit import resources
from localcloud.tests.test_cfn import query

TAGS = {"project": "shop", "environment": "dev", "team": "data"}


def ref(name: str) -> dict:
    return {"Ref": name}


def att(name: str, attribute: str = "Arn") -> dict:
    return {"Fn::GetAtt": [name, attribute]}


def part(kind: str, depends: str = "", **properties: object) -> dict:
    """A resource; its type without `AWS::`."""
    made: dict = {"Type": f"AWS::{kind}", "Properties": properties}
    return {**made, "DependsOn": depends} if depends else made


def tags(found: list[dict]) -> dict[str, str]:
    """A tag list as a map, without CloudFormation's own."""
    pairs = {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in found}
    return {key: value for key, value in pairs.items() if not key.startswith("aws:")}


def trust(service: str) -> dict:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def policy(*actions: str) -> dict:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def key() -> dict:
    return part("KMS::Key", KeyPolicy=policy("kms:*"), EnableKeyRotation=True, PendingWindowInDays=30)


def vpc() -> dict[str, dict]:
    return {
        "Vpc": part("EC2::VPC", CidrBlock="10.0.0.0/16"),
        "One": part(
            "EC2::Subnet", VpcId=ref("Vpc"), CidrBlock="10.0.1.0/24", AvailabilityZone="eu-central-1a"
        ),
        "Two": part(
            "EC2::Subnet", VpcId=ref("Vpc"), CidrBlock="10.0.2.0/24", AvailabilityZone="eu-central-1b"
        ),
        "Group": part("EC2::SecurityGroup", GroupDescription="g", VpcId=ref("Vpc")),
    }


def outputs(resources: dict, **more: object) -> dict:
    return {**{name: ref(name) for name in resources}, **more}


def test_network(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    ec2 = cloud.client("ec2")
    parts = {
        **vpc(),
        "Gateway": part("EC2::InternetGateway"),
        "Attached": part("EC2::VPCGatewayAttachment", VpcId=ref("Vpc"), InternetGatewayId=ref("Gateway")),
        "Address": part("EC2::EIP", "Attached", Domain="vpc"),
        "Nat": part("EC2::NatGateway", SubnetId=ref("One"), AllocationId=att("Address", "AllocationId")),
        "Table": part("EC2::RouteTable", VpcId=ref("Vpc")),
        "Route": part("EC2::Route", RouteTableId=ref("Table"), DestinationCidrBlock="0.0.0.0/0",
                      NatGatewayId=ref("Nat")),
        "Associated": part("EC2::SubnetRouteTableAssociation", SubnetId=ref("Two"), RouteTableId=ref("Table")),
        "Bucket": part("EC2::VPCEndpoint", VpcId=ref("Vpc"), VpcEndpointType="Gateway", RouteTableIds=[ref("Table")],
                       ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"}),
        "Logs": part("EC2::VPCEndpoint", VpcId=ref("Vpc"), VpcEndpointType="Interface", PrivateDnsEnabled=True,
                     SubnetIds=[ref("One"), ref("Two")], SecurityGroupIds=[ref("Group")],
                     ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.logs"}),
        "Ranges": part("EC2::PrefixList", PrefixListName=name, AddressFamily="IPv4", MaxEntries=3,
                       Entries=[{"Cidr": "10.9.0.0/16", "Description": "office"}]),
        "In": part("EC2::SecurityGroupIngress", GroupId=ref("Group"), IpProtocol="tcp", FromPort=443, ToPort=443,
                   SourcePrefixListId=ref("Ranges"), Description="users"),
        "Out": part("EC2::SecurityGroupEgress", GroupId=ref("Group"), IpProtocol="tcp", FromPort=5432, ToPort=5432,
                    DestinationSecurityGroupId=ref("Group")),
        "Flow": part("EC2::FlowLog", ResourceType="VPC", ResourceId=ref("Vpc"), TrafficType="ALL",
                     LogDestinationType="cloud-watch-logs", LogGroupName=f"/{name}"),
    }  # fmt: skip
    made = stacks.made(name, parts, outputs(parts), tags=TAGS)
    nat = ec2.describe_nat_gateways(NatGatewayIds=[made["Nat"]])["NatGateways"][0]
    assert nat["NatGatewayAddresses"][0]["PublicIp"] == made["Address"]
    assert tags(nat["Tags"]) == TAGS
    assert tags(ec2.describe_addresses(PublicIps=[made["Address"]])["Addresses"][0]["Tags"]) == TAGS
    flow = ec2.describe_flow_logs(FlowLogIds=[made["Flow"]])["FlowLogs"][0]
    assert (flow["ResourceId"], flow["TrafficType"], tags(flow["Tags"])) == (made["Vpc"], "ALL", TAGS)
    endpoints = ec2.describe_vpc_endpoints(VpcEndpointIds=[made["Logs"], made["Bucket"]])["VpcEndpoints"]
    logs = next(e for e in endpoints if e["VpcEndpointType"] == "Interface")
    assert set(logs["SubnetIds"]) == {made["One"], made["Two"]} and logs["PrivateDnsEnabled"]
    assert [group["GroupId"] for group in logs["Groups"]] == [made["Group"]]

    def rules() -> tuple[list, list]:
        group = ec2.describe_security_groups(GroupIds=[made["Group"]])["SecurityGroups"][0]
        return group["IpPermissions"], group["IpPermissionsEgress"]

    assert rules()[0][0]["PrefixListIds"][0] == {"PrefixListId": made["Ranges"], "Description": "users"}
    assert {rule.get("FromPort") for rule in rules()[1]} == {None, 5432}

    parts["Ranges"]["Properties"]["Entries"].append({"Cidr": "10.8.0.0/16"})
    del parts["In"]
    again = stacks.updated(name, parts, outputs(parts), tags={**TAGS, "team": "web"})
    assert again == {key: value for key, value in made.items() if key != "In"}
    entries = ec2.get_managed_prefix_list_entries(PrefixListId=made["Ranges"])["Entries"]
    assert [entry["Cidr"] for entry in entries] == ["10.9.0.0/16", "10.8.0.0/16"]
    assert rules()[0] == []
    assert tags(ec2.describe_vpcs(VpcIds=[made["Vpc"]])["Vpcs"][0]["Tags"])["team"] == "web"
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert made["Flow"] not in [flow["FlowLogId"] for flow in ec2.describe_flow_logs()["FlowLogs"]]
    with pytest.raises(ClientError, match="NotFound"):
        ec2.get_managed_prefix_list_entries(PrefixListId=made["Ranges"])


def test_identity(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    iam = cloud.client("iam")
    path = f"/ductwork/{name}/"
    parts = {
        "Policy": part("IAM::ManagedPolicy", Path=path, PolicyDocument=policy("logs:PutLogEvents")),
        "Role": part(
            "IAM::Role", Path=path, AssumeRolePolicyDocument=trust("ec2.amazonaws.com"),
            ManagedPolicyArns=[ref("Policy")],
            Policies=[{"PolicyName": "own", "PolicyDocument": policy("s3:GetObject")}],
        ),
        "More": part("IAM::RolePolicy", RoleName=ref("Role"), PolicyName="more", PolicyDocument=policy("sqs:*")),
        "Profile": part("IAM::InstanceProfile", Path=path, Roles=[ref("Role")]),
        "GitHub": part("IAM::OIDCProvider", Url=f"https://{name}.example.com", ClientIdList=["sts.amazonaws.com"]),
    }  # fmt: skip
    made = stacks.made(name, parts, outputs(parts, Arn=att("Profile")), tags=TAGS)
    assert made["Arn"].endswith(f":instance-profile{path}{made['Profile']}")
    profile = iam.get_instance_profile(InstanceProfileName=made["Profile"])["InstanceProfile"]
    assert (profile["Path"], profile["Roles"][0]["RoleName"]) == (path, made["Role"])
    role = iam.get_role(RoleName=made["Role"])["Role"]
    assert (role["Path"], tags(role["Tags"])) == (path, TAGS)
    assert iam.list_role_policies(RoleName=made["Role"])["PolicyNames"] == ["own", "more"]
    document = iam.get_role_policy(RoleName=made["Role"], PolicyName="more")["PolicyDocument"]
    assert document["Statement"][0]["Action"] == ["sqs:*"]
    attached = iam.list_attached_role_policies(RoleName=made["Role"])["AttachedPolicies"]
    assert [entry["PolicyArn"] for entry in attached] == [made["Policy"]]
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=made["GitHub"])
    assert (provider["ClientIDList"], tags(provider["Tags"])) == (["sts.amazonaws.com"], TAGS)

    parts["More"]["Properties"]["PolicyDocument"] = policy("sns:Publish")
    parts["GitHub"]["Properties"]["ClientIdList"] = ["other"]
    parts["Role"]["Properties"]["Policies"] = []
    stacks.updated(name, parts, outputs(parts, Arn=att("Profile")))
    assert iam.list_role_policies(RoleName=made["Role"])["PolicyNames"] == ["more"]
    assert "sns:Publish" in str(
        iam.get_role_policy(RoleName=made["Role"], PolicyName="more")["PolicyDocument"]
    )
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=made["GitHub"])["ClientIDList"] == [
        "other"
    ]
    assert stacks.delete(name) == "DELETE_COMPLETE"
    for call in (
        lambda: iam.get_role(RoleName=made["Role"]),
        lambda: iam.get_instance_profile(InstanceProfileName=made["Profile"]),
        lambda: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=made["GitHub"]),
        lambda: iam.get_policy(PolicyArn=made["Policy"]),
    ):
        with pytest.raises(ClientError, match="NoSuchEntity"):
            call()


def test_account_wide_services(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    budgets, trails, backup = (cloud.client(service) for service in ("budgets", "cloudtrail", "backup"))
    parts = {
        "Key": key(),
        "Topic": part("SNS::Topic"),
        "Budget": part(
            "Budgets::Budget",
            Budget={"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY",
                    "BudgetLimit": {"Amount": 100, "Unit": "USD"},
                    "CostFilters": {"TagKeyValue": ["user:environment$dev"]}},
            NotificationsWithSubscribers=[{
                "Notification": {"NotificationType": "FORECASTED", "ComparisonOperator": "GREATER_THAN",
                                 "Threshold": 100, "ThresholdType": "PERCENTAGE"},
                "Subscribers": [{"SubscriptionType": "SNS", "Address": ref("Topic")}]}],
        ),
        "Records": part("S3::Bucket"),
        "Trail": part("CloudTrail::Trail", S3BucketName=ref("Records"), IsLogging=True, IsMultiRegionTrail=False,
                      EnableLogFileValidation=True, IncludeGlobalServiceEvents=True, KMSKeyId=att("Key")),
        "Vault": part("Backup::BackupVault", BackupVaultName=name, EncryptionKeyArn=att("Key")),
        "Plan": part("Backup::BackupPlan", BackupPlan={
            "BackupPlanName": name,
            "BackupPlanRule": [{"RuleName": "daily", "TargetBackupVault": ref("Vault"),
                                "ScheduleExpression": "cron(0 3 * * ? *)", "Lifecycle": {"DeleteAfterDays": 30}}]}),
        "Selection": part("Backup::BackupSelection", BackupPlanId=ref("Plan"), BackupSelection={
            "SelectionName": name, "IamRoleArn": "arn:aws:iam::000000000000:role/backup", "Resources": ["*"],
            "Conditions": {"StringEquals": [{"ConditionKey": "aws:ResourceTag/backup", "ConditionValue": "daily"}]}}),
    }  # fmt: skip
    made = stacks.made(name, parts, outputs(parts, TrailArn=att("Trail")), tags=TAGS)
    account = {"AccountId": "000000000000", "BudgetName": name}
    budget = budgets.describe_budget(**account)["Budget"]
    assert (budget["BudgetLimit"]["Amount"], budget["TimeUnit"]) == ("100", "MONTHLY")
    assert len(budgets.describe_notifications_for_budget(**account)["Notifications"]) == 1
    trail = trails.get_trail(Name=made["Trail"])["Trail"]
    assert (trail["LogFileValidationEnabled"], trail["KmsKeyId"]) == (True, trail["KmsKeyId"])
    assert trails.get_trail_status(Name=made["Trail"])["IsLogging"]
    assert tags(trails.list_tags(ResourceIdList=[made["TrailArn"]])["ResourceTagList"][0]["TagsList"]) == TAGS
    plan, selection = made["Plan"], made["Selection"].split("_")[0]
    chosen = backup.get_backup_selection(BackupPlanId=plan, SelectionId=selection)["BackupSelection"]
    assert chosen["Conditions"]["StringEquals"][0]["ConditionValue"] == "daily"
    rule = backup.get_backup_plan(BackupPlanId=plan)["BackupPlan"]["Rules"][0]
    assert (rule["TargetBackupVaultName"], rule["Lifecycle"]["DeleteAfterDays"]) == (name, 30)

    parts["Budget"]["Properties"]["Budget"]["BudgetLimit"]["Amount"] = 200
    parts["Trail"]["Properties"]["IsLogging"] = False
    parts["Selection"]["Properties"]["BackupSelection"]["SelectionName"] = "other"
    again = stacks.updated(name, parts, outputs(parts, TrailArn=att("Trail")))
    assert budgets.describe_budget(**account)["Budget"]["BudgetLimit"]["Amount"] == "200"
    assert not trails.get_trail_status(Name=made["Trail"])["IsLogging"]
    assert again["Selection"] != made["Selection"]
    assert len(backup.list_backup_selections(BackupPlanId=plan)["BackupSelectionsList"]) == 1
    assert stacks.delete(name) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="NotFound"):
        budgets.describe_budget(**account)
    assert made["Trail"] not in [trail["Name"] for trail in trails.list_trails()["Trails"]]
    assert plan not in [entry["BackupPlanId"] for entry in backup.list_backup_plans()["BackupPlansList"]]


def test_shared_files(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    efs = cloud.client("efs")
    parts = {
        **vpc(),
        "Key": key(),
        "Files": part("EFS::FileSystem", Encrypted=True, KmsKeyId=att("Key"), ThroughputMode="elastic",
                      BackupPolicy={"Status": "DISABLED"}, FileSystemPolicy=policy("elasticfilesystem:ClientMount"),
                      LifecyclePolicies=[{"TransitionToIA": "AFTER_30_DAYS"}],
                      FileSystemTags=[{"Key": "backup", "Value": "daily"}]),
        "Mount1": part("EFS::MountTarget", FileSystemId=ref("Files"), SubnetId=ref("One"),
                       SecurityGroups=[ref("Group")]),
        "Mount2": part("EFS::MountTarget", FileSystemId=ref("Files"), SubnetId=ref("Two"),
                       SecurityGroups=[ref("Group")]),
        "Point": part("EFS::AccessPoint", FileSystemId=ref("Files"), PosixUser={"Uid": "1000", "Gid": "1000"},
                      RootDirectory={"Path": "/tasks", "CreationInfo": {
                          "OwnerUid": "1000", "OwnerGid": "1000", "Permissions": "0750"}},
                      AccessPointTags=[{"Key": "component", "Value": "storage"}]),
    }  # fmt: skip
    made = stacks.made(name, parts, outputs(parts), tags=TAGS)
    files = efs.describe_file_systems(FileSystemId=made["Files"])["FileSystems"][0]
    assert files["Encrypted"] and tags(files["Tags"]) == {**TAGS, "backup": "daily"}
    assert len(efs.describe_mount_targets(FileSystemId=made["Files"])["MountTargets"]) == 2
    point = efs.describe_access_points(AccessPointId=made["Point"])["AccessPoints"][0]
    assert (point["RootDirectory"]["Path"], point["PosixUser"]["Uid"]) == ("/tasks", 1000)
    assert tags(point["Tags"]) == {**TAGS, "component": "storage"}
    groups = efs.describe_mount_target_security_groups(MountTargetId=made["Mount1"])["SecurityGroups"]
    assert groups == [made["Group"]]
    parts["Files"]["Properties"]["BackupPolicy"]["Status"] = "ENABLED"
    del parts["Mount2"]
    stacks.updated(name, parts, outputs(parts), tags=TAGS)
    assert efs.describe_backup_policy(FileSystemId=made["Files"])["BackupPolicy"]["Status"] == "ENABLED"
    assert len(efs.describe_mount_targets(FileSystemId=made["Files"])["MountTargets"]) == 1
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert made["Files"] not in [f["FileSystemId"] for f in efs.describe_file_systems()["FileSystems"]]


def test_cache(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    cache = cloud.client("elasticache")
    token = "{{resolve:secretsmanager:${Token}:SecretString}}"
    parts = {
        **vpc(),
        "Key": key(),
        "Token": part("SecretsManager::Secret", KmsKeyId=ref("Key"),
                      GenerateSecretString={"PasswordLength": 32, "ExcludePunctuation": True}),
        "Subnets": part("ElastiCache::SubnetGroup", Description="s", SubnetIds=[ref("One"), ref("Two")]),
        "Settings": part("ElastiCache::ParameterGroup", CacheParameterGroupFamily="valkey8", Description="p",
                         Properties={"maxmemory-policy": "noeviction"}),
        "Broker": part("ElastiCache::ReplicationGroup", ReplicationGroupDescription="broker", Engine="valkey",
                       EngineVersion="8.0", CacheNodeType="cache.t4g.small", NumCacheClusters=1,
                       AutomaticFailoverEnabled=False, MultiAZEnabled=False, TransitEncryptionEnabled=True,
                       TransitEncryptionMode="required", AtRestEncryptionEnabled=True, KmsKeyId=ref("Key"),
                       AuthToken={"Fn::Sub": token}, CacheSubnetGroupName=ref("Subnets"),
                       CacheParameterGroupName=ref("Settings"), SecurityGroupIds=[ref("Group")],
                       SnapshotRetentionLimit=3),
    }  # fmt: skip
    ends = {"Host": att("Broker", "PrimaryEndPoint.Address"), "Port": att("Broker", "PrimaryEndPoint.Port")}
    made = stacks.made(name, parts, outputs(parts, **ends), tags=TAGS)
    assert (made["Host"], made["Port"]) == ("127.0.0.1", "6379")

    def broker() -> dict:
        return cache.describe_replication_groups(ReplicationGroupId=made["Broker"])["ReplicationGroups"][0]

    found = broker()
    assert (
        found["TransitEncryptionEnabled"] and found["AtRestEncryptionEnabled"] and found["AuthTokenEnabled"]
    )
    assert (found["AutomaticFailover"], found["MultiAZ"], found["SnapshotRetentionLimit"]) == (
        "disabled", "disabled", 3,
    )  # fmt: skip
    assert (found["ClusterEnabled"], len(found["MemberClusters"])) == (False, 1)
    assert tags(cache.list_tags_for_resource(ResourceName=found["ARN"])["TagList"]) == TAGS
    parts["Broker"]["Properties"].update(
        NumCacheClusters=2, AutomaticFailoverEnabled=True, MultiAZEnabled=True
    )
    again = stacks.updated(name, parts, outputs(parts, **ends), tags=TAGS)
    assert again == made
    found = broker()
    assert (found["AutomaticFailover"], found["MultiAZ"]) == ("enabled", "enabled")
    assert len(found["MemberClusters"]) == 2
    parts["Broker"]["Properties"].update(
        NumCacheClusters=1, AutomaticFailoverEnabled=False, MultiAZEnabled=False
    )
    stacks.updated(name, parts, outputs(parts, **ends), tags=TAGS)
    assert len(broker()["MemberClusters"]) == 1
    assert stacks.delete(name) == "DELETE_COMPLETE"
    groups = cache.describe_replication_groups()["ReplicationGroups"]
    assert made["Broker"] not in [group["ReplicationGroupId"] for group in groups]


LOGIN = {"MasterUsername": "airflow", "MasterUserPassword": "letmein-please"}


def test_aurora_is_real_and_its_instances_share_it(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    rds = cloud.client("rds")
    parts = {
        "Settings": part("RDS::DBClusterParameterGroup", Family="aurora-postgresql17", Description="p",
                         Parameters={"rds.force_ssl": "1"}),
        "Cluster": part("RDS::DBCluster", Engine="aurora-postgresql", EngineVersion="17.4", DatabaseName="airflow",
                        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
                        BackupRetentionPeriod=7, DeletionProtection=True, StorageEncrypted=True,
                        DBClusterParameterGroupName=ref("Settings"), CopyTagsToSnapshot=True, **LOGIN),
        "Writer": part("RDS::DBInstance", Engine="aurora-postgresql", DBInstanceClass="db.serverless",
                       DBClusterIdentifier=ref("Cluster")),
        "Reader": part("RDS::DBInstance", "Writer", Engine="aurora-postgresql", DBInstanceClass="db.serverless",
                       DBClusterIdentifier=ref("Cluster")),
    }  # fmt: skip
    parts["Cluster"]["DeletionPolicy"] = "Snapshot"
    ends = {"Host": att("Cluster", "Endpoint.Address"), "Port": att("Cluster", "Endpoint.Port"),
            "Same": att("Writer", "Endpoint.Port")}  # fmt: skip
    made = stacks.made(name, parts, outputs(parts, **ends), tags=TAGS)
    assert made["Port"] == made["Same"]
    answer = query(made["Host"], made["Port"], "airflow", LOGIN["MasterUserPassword"], "airflow")
    assert answer.stdout.strip() == "1", answer.stderr

    def cluster() -> dict:
        return rds.describe_db_clusters(DBClusterIdentifier=made["Cluster"])["DBClusters"][0]

    found = cluster()
    assert found["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 4.0}
    assert (found["DeletionProtection"], found["BackupRetentionPeriod"], found["StorageEncrypted"]) == (
        True,
        7,
        True,
    )
    writers = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in found["DBClusterMembers"]}
    assert writers == {made["Writer"]: True, made["Reader"]: False}
    assert found["DBClusterParameterGroup"] == made["Settings"]
    assert tags(found["TagList"]) == TAGS

    assert stacks.delete(name) == "DELETE_FAILED"
    assert cluster()["Status"] == "available"
    parts["Cluster"]["Properties"]["DeletionProtection"] = False
    assert stacks.api.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "DELETE_FAILED"
    rds.modify_db_cluster(DBClusterIdentifier=made["Cluster"], DeletionProtection=False)
    assert stacks.delete(name) == "DELETE_COMPLETE"
    kept = [
        s for s in rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        if s["DBClusterIdentifier"] == made["Cluster"]
    ]  # fmt: skip
    assert [s["MasterUsername"] for s in kept] == ["airflow"]

    props = parts["Cluster"]["Properties"]
    del props["MasterUsername"], props["DatabaseName"], props["DBClusterParameterGroupName"]
    props["SnapshotIdentifier"] = kept[0]["DBClusterSnapshotIdentifier"]
    parts["Cluster"]["DeletionPolicy"] = "Delete"
    del parts["Settings"], parts["Reader"], parts["Writer"], ends["Same"]
    made = stacks.made(name, parts, outputs(parts, **ends))
    answer = query(made["Host"], made["Port"], "airflow", LOGIN["MasterUserPassword"], "airflow")
    assert answer.stdout.strip() == "1", answer.stderr
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_database_instances(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    rds = cloud.client("rds")
    subnets = part("RDS::DBSubnetGroup", DBSubnetGroupDescription="d", SubnetIds=[ref("One"), ref("Two")])
    parts = {
        **vpc(),
        "Subnets": subnets,
        "Settings": part("RDS::DBParameterGroup", Family="mysql8.4", Description="p",
                         Parameters={"require_secure_transport": "1"}),
        "Database": part("RDS::DBInstance", Engine="mysql", EngineVersion="8.4", DBInstanceClass="db.t4g.small",
                         AllocatedStorage="20", MaxAllocatedStorage=100, StorageType="gp3", StorageEncrypted=True,
                         MultiAZ=True, DBName="airflow", DBSubnetGroupName=ref("Subnets"), BackupRetentionPeriod=7,
                         DBParameterGroupName=ref("Settings"), VPCSecurityGroups=[ref("Group")],
                         DeletionProtection=False, CopyTagsToSnapshot=True, PubliclyAccessible=False,
                         EnableCloudwatchLogsExports=["error"], **LOGIN),
    }  # fmt: skip
    parts["Database"]["DeletionPolicy"] = "Snapshot"
    ends = {"Host": att("Database", "Endpoint.Address"), "Port": att("Database", "Endpoint.Port")}
    made = stacks.made(name, parts, outputs(parts, **ends), tags=TAGS)
    assert (made["Host"], made["Port"]) == ("127.0.0.1", "3306")

    def database() -> dict:
        return rds.describe_db_instances(DBInstanceIdentifier=made["Database"])["DBInstances"][0]

    found = database()
    assert (found["Engine"], found["EngineVersion"], found["MultiAZ"]) == ("mysql", "8.4", True)
    assert (found["MaxAllocatedStorage"], found["StorageEncrypted"]) == (100, True)
    assert found["DBParameterGroups"][0]["DBParameterGroupName"] == made["Settings"]
    assert found["VpcSecurityGroups"][0]["VpcSecurityGroupId"] == made["Group"]
    assert tags(found["TagList"]) == TAGS
    pages = rds.describe_db_parameters(DBParameterGroupName=made["Settings"], Source="user")["Parameters"]
    assert ("require_secure_transport", "1") in [(p["ParameterName"], p.get("ParameterValue")) for p in pages]
    parts["Database"]["Properties"].update(DeletionProtection=True, MultiAZ=False, BackupRetentionPeriod=14)
    stacks.updated(name, parts, outputs(parts, **ends), tags=TAGS)
    found = database()
    assert (found["DeletionProtection"], found["MultiAZ"], found["BackupRetentionPeriod"]) == (
        True,
        False,
        14,
    )
    parts["Database"]["Properties"].update(DeletionProtection=False)
    stacks.updated(name, parts, outputs(parts, **ends), tags=TAGS)
    assert stacks.delete(name) == "DELETE_COMPLETE"
    kept = rds.describe_db_snapshots(DBInstanceIdentifier=made["Database"])["DBSnapshots"]
    assert [snapshot["Engine"] for snapshot in kept] == ["mysql"]


def test_entry(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    elb, acm, route53, waf = (cloud.client(s) for s in ("elbv2", "acm", "route53", "wafv2"))
    zone = route53.create_hosted_zone(Name=f"{name}.example.com", CallerReference=name)["HostedZone"]["Id"]
    domain = f"airflow.{name}.example.com"
    zone_id = zone.rpartition("/")[2]
    measured = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "all"}
    parts = {
        **vpc(),
        "Records": part("S3::Bucket"),
        "Certificate": part("CertificateManager::Certificate", DomainName=domain, ValidationMethod="DNS",
                            DomainValidationOptions=[{"DomainName": domain, "HostedZoneId": zone_id}]),
        "Balancer": part("ElasticLoadBalancingV2::LoadBalancer", Type="application", Scheme="internal",
                         Subnets=[ref("One"), ref("Two")], SecurityGroups=[ref("Group")],
                         LoadBalancerAttributes=[
                             {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
                             {"Key": "deletion_protection.enabled", "Value": "false"},
                             {"Key": "access_logs.s3.enabled", "Value": "true"},
                             {"Key": "access_logs.s3.bucket", "Value": ref("Records")}]),
        "Targets": part("ElasticLoadBalancingV2::TargetGroup", VpcId=ref("Vpc"), Port=8080, Protocol="HTTP",
                        TargetType="instance", HealthCheckPath="/ductwork/health", Matcher={"HttpCode": "200"},
                        HealthCheckIntervalSeconds=15,
                        TargetGroupAttributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}]),
        "Https": part("ElasticLoadBalancingV2::Listener", LoadBalancerArn=ref("Balancer"), Port=443, Protocol="HTTPS",
                      SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
                      Certificates=[{"CertificateArn": ref("Certificate")}],
                      DefaultActions=[{"Type": "forward", "TargetGroupArn": ref("Targets")}]),
        "Http": part("ElasticLoadBalancingV2::Listener", LoadBalancerArn=ref("Balancer"), Port=80, Protocol="HTTP",
                     DefaultActions=[{"Type": "redirect", "RedirectConfig": {
                         "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}]),
        "Name": part("Route53::RecordSet", HostedZoneId=zone_id, Name=domain, Type="A", AliasTarget={
            "DNSName": att("Balancer", "DNSName"), "HostedZoneId": att("Balancer", "CanonicalHostedZoneID")}),
        "Firewall": part("WAFv2::WebACL", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=measured,
                         Rules=[{"Name": "common", "Priority": 0, "OverrideAction": {"None": {}},
                                 "VisibilityConfig": measured, "Statement": {"ManagedRuleGroupStatement": {
                                     "VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}}]),
        "Guarded": part("WAFv2::WebACLAssociation", ResourceArn=ref("Balancer"), WebACLArn=att("Firewall")),
        "Template": part("EC2::LaunchTemplate", LaunchTemplateData={"InstanceType": "t3.small"}),
        "Hosts": part("AutoScaling::AutoScalingGroup", MinSize="2", MaxSize="2",
                      VPCZoneIdentifier=[ref("One"), ref("Two")], TargetGroupARNs=[ref("Targets")],
                      LaunchTemplate={"LaunchTemplateId": ref("Template"),
                                      "Version": att("Template", "LatestVersionNumber")}),
    }  # fmt: skip
    more = {"Dns": att("Balancer", "DNSName"), "Full": att("Balancer", "LoadBalancerFullName"),
            "Group": att("Targets", "TargetGroupFullName")}  # fmt: skip
    made = stacks.made(name, parts, outputs(parts) | more, tags=TAGS)
    assert made["Full"].startswith("app/") and made["Group"].startswith("targetgroup/")
    certificate = acm.describe_certificate(CertificateArn=made["Certificate"])["Certificate"]
    assert (certificate["Status"], certificate["DomainName"]) == ("ISSUED", domain)
    balancer = elb.describe_load_balancers(LoadBalancerArns=[made["Balancer"]])["LoadBalancers"][0]
    assert (balancer["Scheme"], len(balancer["AvailabilityZones"])) == ("internal", 2)
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=made["Balancer"])["Attributes"]
    attributes = {entry["Key"]: entry["Value"] for entry in attributes}
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["access_logs.s3.bucket"] == made["Records"]
    group = elb.describe_target_groups(TargetGroupArns=[made["Targets"]])["TargetGroups"][0]
    assert (group["HealthCheckPath"], group["Matcher"]["HttpCode"]) == ("/ductwork/health", "200")
    delay = elb.describe_target_group_attributes(TargetGroupArn=made["Targets"])["Attributes"]
    assert {"Key": "deregistration_delay.timeout_seconds", "Value": "60"} in delay
    listeners = elb.describe_listeners(LoadBalancerArn=made["Balancer"])["Listeners"]
    https = next(entry for entry in listeners if entry["Port"] == 443)
    assert (https["SslPolicy"], https["Certificates"][0]["CertificateArn"]) == (
        "ELBSecurityPolicy-TLS13-1-2-2021-06", made["Certificate"],
    )  # fmt: skip
    http = next(entry for entry in listeners if entry["Port"] == 80)
    assert http["DefaultActions"][0]["RedirectConfig"]["StatusCode"] == "HTTP_301"
    records = route53.list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    alias = next(r["AliasTarget"]["DNSName"] for r in records if r["Type"] == "A")
    assert alias.rstrip(".").lower() == made["Dns"].lower()
    guard = waf.get_web_acl_for_resource(ResourceArn=made["Balancer"])["WebACL"]
    assert guard["Rules"][0]["Name"] == "common"
    assert tags(waf.list_tags_for_resource(ResourceARN=guard["ARN"])["TagInfoForResource"]["TagList"]) == TAGS

    def targets() -> set[str]:
        health = elb.describe_target_health(TargetGroupArn=made["Targets"])["TargetHealthDescriptions"]
        return {entry["Target"]["Id"] for entry in health}

    asg = cloud.client("autoscaling")
    hosts = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[made["Hosts"]])["AutoScalingGroups"][0]
    assert targets() == {entry["InstanceId"] for entry in hosts["Instances"]}
    assert {entry["AvailabilityZone"] for entry in hosts["Instances"]} == {"eu-central-1a", "eu-central-1b"}

    del parts["Hosts"]["Properties"]["TargetGroupARNs"], parts["Guarded"], parts["Name"]
    parts["Targets"]["Properties"]["HealthCheckIntervalSeconds"] = 30
    stacks.updated(name, parts, outputs(parts) | more, tags=TAGS)
    assert targets() == set()
    with pytest.raises(ClientError, match="Nonexistent"):
        waf.get_web_acl_for_resource(ResourceArn=made["Balancer"])
    assert stacks.delete(name) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="NotFound"):
        elb.describe_load_balancers(LoadBalancerArns=[made["Balancer"]])
    left = route53.list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    assert {record["Type"] for record in left} == {"NS", "SOA"}


def test_observability(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    sns, watch, logs = (cloud.client(service) for service in ("sns", "cloudwatch", "logs"))
    metric = {"Namespace": "Ductwork", "MetricName": "SchedulerHeartbeatAge",
              "Dimensions": [{"Name": "Environment", "Value": name}]}  # fmt: skip
    parts = {
        "Key": key(),
        "Alias": part("KMS::Alias", AliasName=f"alias/{name}", TargetKeyId=ref("Key")),
        "Topic": part("SNS::Topic", KmsMasterKeyId=ref("Key")),
        "Mail": part("SNS::Subscription", TopicArn=ref("Topic"), Protocol="email", Endpoint="a@example.com"),
        "Publish": part("SNS::TopicPolicy", Topics=[ref("Topic")], PolicyDocument=policy("sns:Publish")),
        "Group": part("Logs::LogGroup", LogGroupName=f"/ductwork/{name}/scheduler", RetentionInDays=30,
                      KmsKeyId=att("Key")),
        "Alarm": part("CloudWatch::Alarm", AlarmDescription="late", Statistic="Maximum", Period=60,
                      EvaluationPeriods=3, DatapointsToAlarm=2, Threshold=60,
                      ComparisonOperator="GreaterThanThreshold", TreatMissingData="breaching",
                      AlarmActions=[ref("Topic")], OKActions=[ref("Topic")], **metric),
        "Math": part("CloudWatch::Alarm", EvaluationPeriods=1, Threshold=1, AlarmActions=[ref("Topic")],
                     ComparisonOperator="GreaterThanThreshold", Metrics=[
                         {"Id": "e", "Expression": "m*2", "Label": "double", "ReturnData": True},
                         {"Id": "m", "ReturnData": False, "MetricStat": {
                             "Metric": metric, "Period": 60, "Stat": "Maximum"}}]),
        "Board": part("CloudWatch::Dashboard", DashboardName=name,
                      DashboardBody=json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "x"}}]})),
        "Images": part("ECR::Repository", RepositoryName=name, ImageTagMutability="IMMUTABLE",
                       ImageScanningConfiguration={"ScanOnPush": True},
                       EncryptionConfiguration={"EncryptionType": "KMS", "KmsKey": att("Key")}),
        "Handle": part("CloudFormation::WaitConditionHandle"),
    }  # fmt: skip
    made = stacks.made(name, parts, outputs(parts, KeyArn=att("Key")), tags=TAGS)
    attributes = sns.get_topic_attributes(TopicArn=made["Topic"])["Attributes"]
    assert attributes["KmsMasterKeyId"] == made["Key"] and "sns:Publish" in attributes["Policy"]
    mails = sns.list_subscriptions_by_topic(TopicArn=made["Topic"])["Subscriptions"]
    assert [entry["Endpoint"] for entry in mails] == ["a@example.com"]
    group = logs.describe_log_groups(logGroupNamePrefix=f"/ductwork/{name}/")["logGroups"][0]
    assert (group["retentionInDays"], group["kmsKeyId"]) == (30, made["KeyArn"])
    assert tags([{"Key": k, "Value": v} for k, v in logs.list_tags_for_resource(
        resourceArn=group["arn"].removesuffix(":*"))["tags"].items()]) == TAGS  # fmt: skip

    def alarm(logical: str) -> dict:
        return watch.describe_alarms(AlarmNames=[made[logical]])["MetricAlarms"][0]

    found = alarm("Alarm")
    assert (found["TreatMissingData"], found["DatapointsToAlarm"], found["Threshold"]) == (
        "breaching",
        2,
        60.0,
    )
    assert found["AlarmActions"] == found["OKActions"] == [made["Topic"]]
    assert found["Dimensions"] == metric["Dimensions"]
    assert tags(watch.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"]) == TAGS
    assert [m["Id"] for m in alarm("Math")["Metrics"]] == ["e", "m"]
    # As `xtask/src/observe/alarms.rs` asks, whatever the alarm looks at.
    ringing = {"AlarmNamePrefix": f"{name}-", "StateValue": "ALARM"}
    assert watch.describe_alarms(**ringing)["MetricAlarms"] == []
    for logical in ("Alarm", "Math"):
        watch.set_alarm_state(AlarmName=made[logical], StateValue="ALARM", StateReason="5 < 6")
    rings = watch.describe_alarms(**ringing)["MetricAlarms"]
    assert [(one["AlarmName"], one["StateReason"]) for one in rings] == [
        (made["Alarm"], "5 < 6"),
        (made["Math"], "5 < 6"),
    ]
    assert rings[0]["AlarmDescription"] == "late"
    assert "widgets" in watch.get_dashboard(DashboardName=name)["DashboardBody"]
    kms = cloud.client("kms")
    assert kms.get_key_rotation_status(KeyId=f"alias/{name}")["KeyRotationEnabled"]
    assert tags([{"Key": t["TagKey"], "Value": t["TagValue"]} for t in kms.list_resource_tags(
        KeyId=made["Key"])["Tags"]]) == TAGS  # fmt: skip
    images = cloud.client("ecr").describe_repositories(repositoryNames=[name])["repositories"][0]
    assert (images["imageTagMutability"], images["encryptionConfiguration"]["encryptionType"]) == (
        "IMMUTABLE",
        "KMS",
    )

    parts["Group"]["Properties"]["RetentionInDays"] = 90
    parts["Alarm"]["Properties"]["Threshold"] = 120
    parts["Board"]["Properties"]["DashboardBody"] = json.dumps({"widgets": []})
    del parts["Mail"]
    stacks.updated(name, parts, outputs(parts, KeyArn=att("Key")), tags=TAGS)
    assert (
        logs.describe_log_groups(logGroupNamePrefix=f"/ductwork/{name}/")["logGroups"][0]["retentionInDays"]
        == 90
    )
    assert alarm("Alarm")["Threshold"] == 120.0
    assert sns.list_subscriptions_by_topic(TopicArn=made["Topic"])["Subscriptions"] == []
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert logs.describe_log_groups(logGroupNamePrefix=f"/ductwork/{name}/")["logGroups"] == []
    assert watch.describe_alarms(AlarmNames=[made["Alarm"], made["Math"]])["MetricAlarms"] == []
    assert kms.describe_key(KeyId=made["Key"])["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_a_whole_environment_is_made_and_updated(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    """Eighteen nested stacks of eight resources each, one after the other as they depend on each other."""
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket=name)
    child = {
        "Parameters": {"Before": {"Type": "String", "Default": ""}},
        "Resources": {
            **{
                f"Queue{i}": part("SQS::Queue", Tags=[{"Key": "before", "Value": ref("Before")}])
                for i in range(4)
            },
            **{
                f"Role{i}": part("IAM::Role", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
                for i in range(4)
            },
        },
        "Outputs": {"Last": {"Value": {"Fn::GetAtt": ["Queue3", "QueueName"]}}},
    }
    url = stacks.upload(name, "child.json", child)
    parts = {
        f"Child{i:02}": part("CloudFormation::Stack", TemplateURL=url, Parameters=(
            {"Before": {"Fn::GetAtt": [f"Child{i - 1:02}", "Outputs.Last"]}} if i else {}))
        for i in range(18)
    }  # fmt: skip
    stacks.made(name, parts, tags=TAGS)
    stacks.updated(name, parts, tags={**TAGS, "release": "2"})
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_s3_keeps_the_checksum_an_object_was_sent_with(cloud: RunningCloud, name: str) -> None:
    """The release tool sends a damaged artifact anew; the stored SHA-256 tells which one is."""
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket=name)
    sha256 = base64.b64encode(hashlib.sha256(b"whole").digest()).decode()
    s3.put_object(Bucket=name, Key="artifact", Body=b"whole", ChecksumSHA256=sha256)
    asked = s3.head_object(Bucket=name, Key="artifact", ChecksumMode="ENABLED")
    assert (asked["ChecksumSHA256"], asked["ContentLength"]) == (sha256, 5)
    assert "ChecksumSHA256" not in s3.head_object(Bucket=name, Key="artifact"), "not unless it is asked for"
    with pytest.raises(ClientError, match="BadDigest"):
        s3.put_object(Bucket=name, Key="artifact", Body=b"who", ChecksumSHA256=sha256)
    cut_off = s3.put_object(Bucket=name, Key="artifact", Body=b"who", IfMatch=asked["ETag"])
    asked = s3.head_object(Bucket=name, Key="artifact", ChecksumMode="ENABLED")
    assert (asked["ETag"], asked.get("ChecksumSHA256")) == (cut_off["ETag"], None)


def test_s3_says_what_time_it_is(cloud: RunningCloud, name: str) -> None:
    """The release tool reads the age of a lease off one answer: when it was written, and what time it is."""
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="lock.json", Body=b"{}")
    answer = s3.get_object(Bucket=name, Key="lock.json")
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert 0 <= (now - answer["LastModified"]).total_seconds() < 3600


def test_codedeploy_has_the_tags_of_the_stack(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    parts = {key: value for key, value in resources(0).items() if key != "Bucket"}
    out = stacks.made(name, parts, {key: ref(key) for key in ("Application", "Deploy")}, tags=TAGS)
    api = cloud.client("codedeploy")
    prefix = "arn:aws:codedeploy:eu-central-1:000000000000"
    for arn in (
        f"{prefix}:application:{out['Application']}",
        f"{prefix}:deploymentgroup:{out['Application']}/{out['Deploy']}",
    ):
        assert tags(api.list_tags_for_resource(ResourceArn=arn)["Tags"]) == TAGS
    assert stacks.delete(name) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="unknown"):
        api.list_tags_for_resource(ResourceArn=f"{prefix}:application:{out['Application']}")

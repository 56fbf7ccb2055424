"""What AWS's schemas list for a resource type and CloudFormation never asks for our templates, each with the reason."""

from __future__ import annotations

from localcloud.iam.policy import like

# Resource type, actions, why not. A wildcard stands for any part.
UNUSED: list[tuple[str, str, str]] = [
    (
        "*",
        "managed-fleets:* vpc-lattice:* s3tables:* lakeformation:* cognito-idp:* vpce:*",
        "a service we do not use",
    ),
    (
        "*",
        "apigateway:* appsync:* apprunner:* amplify:* bedrock-agentcore:*",
        "the firewall guards none of these",
    ),
    ("*", "ec2:*VerifiedAccess*", "the firewall guards a load balancer"),
    ("*", "organizations:* payments:* billing:*", "only an account that manages others has them"),
    ("*", "acm-pca:*", "certificates are public ones"),
    ("*", "iam:*Group* iam:*User*", "policies are on roles only"),
    (
        "AWS::ApplicationAutoScaling::*",
        "lambda:* iam:PassRole",
        "it scales services of ECS, with AWS's own role",
    ),
    ("AWS::ApplicationAutoScaling::ScalingPolicy", "cloudwatch:GetMetricData", "nothing is predicted"),
    (
        "AWS::AutoScaling::AutoScalingGroup",
        "ec2:Get* ssm:Get*",
        "launch templates name their image by its id",
    ),
    ("AWS::AutoScaling::AutoScalingGroup", "cloudwatch:PutMetricAlarm", "for scaling policies"),
    (
        "AWS::Athena::WorkGroup",
        "iam:* s3:* kms:*",
        "who asks a query writes its answer, with rights of their own",
    ),
    ("AWS::Backup::BackupPlan", "iam:PassRole", "the role is the selection's"),
    ("AWS::Backup::BackupVault", "backup-storage:Mount", "the action is called MountCapsule"),
    ("AWS::Backup::BackupVault", "kms:*", "the vault is under AWS's own key"),
    ("AWS::CloudFormation::Stack", "iam:PassRole cloudformation:*StackPolicy", "stacks have neither"),
    (
        "AWS::CloudTrail::Trail",
        "cloudtrail:*EventConfiguration cloudtrail:*Insight* iam:*",
        "the trail has none",
    ),
    ("AWS::CodeDeploy::DeploymentGroup", "codedeploy:RegisterOnPremisesInstance", "hosts are instances"),
    ("AWS::CodeDeploy::DeploymentGroup", "codedeploy:StopDeployment", "the template deploys nothing"),
    (
        "AWS::EC2::EIP",
        "ec2:AcceptAddressTransfer ec2:*associateAddress ec2:AssociateAddress",
        "hosts take theirs",
    ),
    ("AWS::EC2::FlowLog", "s3:*", "the log goes to CloudWatch"),
    ("AWS::EC2::NatGateway", "ec2:*NatGatewayAddress", "one address each"),
    ("AWS::EC2::Subnet", "ec2:*SubnetCidrBlock", "subnets have no IPv6"),
    ("AWS::EC2::VPC", "ec2:CreateVpcEncryptionControl ec2:ModifyVpcTenancy", "the VPC has neither"),
    ("AWS::EC2::VPCGatewayAttachment", "ec2:*VpnGateway", "there is no VPN"),
    ("AWS::ECS::Cluster", "ecs:PutAccountSetting*", "the account's settings stay as they are"),
    ("AWS::ECS::Service", "iam:PassRole", "the load balancer is served with AWS's own role"),
    (
        "AWS::EFS::FileSystem",
        "elasticfilesystem:*ReplicationConfiguration iam:PassRole",
        "it is not replicated",
    ),
    ("AWS::ElastiCache::ParameterGroup", "iam:PutRolePolicy", "no role of ours is concerned"),
    ("AWS::ElastiCache::ReplicationGroup", "logs:*", "the cache sends no logs"),
    ("AWS::ElastiCache::ReplicationGroup", "s3:GetObject", "it begins empty"),
    (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "elasticloadbalancing:ModifyIpPools",
        "addresses are AWS's",
    ),
    ("AWS::ElastiCache::*", "firehose:*", "the cache sends no logs"),
    (
        "AWS::Glue::*",
        "glue:*Connection glue:GetSchemaVersion iam:PassRole s3:*",
        "a table of files that are there",
    ),
    ("AWS::IAM::Role", "iam:*PermissionsBoundary", "roles have none"),
    (
        "AWS::Logs::LogGroup",
        "logs:*DataProtection* logs:*Index* logs:*Delivery* logs:*ResourcePol* s3:*",
        "none",
    ),
    ("AWS::Logs::LogGroup", "logs:PutBearerTokenAuthentication logs:PutLogGroupDeletionProtection", "none"),
    ("AWS::RDS::*", "iam:PassRole iam:GetRole iam:ListRoles rds:*Role*", "the database has no role"),
    (
        "AWS::RDS::*",
        "rds:*Global* rds:*HttpEndpoint rds:*ReadReplica rds:*AutomatedBackupsReplication",
        "it has none",
    ),
    ("AWS::RDS::*", "rds:Restore*ToPointInTime", "restored from snapshots only"),
    ("AWS::RDS::*", "secretsmanager:*", "its password is a secret of ours"),
    (
        "AWS::S3::Bucket",
        "s3:*MetadataTable* s3:UpdateBucketMetadata* s3:*Abac s3:*ObjectAcl s3:*DeleteObject",
        "none",
    ),
    ("AWS::Logs::LogGroup", "firehose:*", "its deliveries are none of Firehose"),
    ("AWS::S3::Bucket", "s3:DeleteBucket?* iam:PassRole", "the properties never go; no replication"),
    ("AWS::S3::Bucket", "s3:PutBucketReplication s3:PutObjectLockConfiguration", "no such actions"),
    ("AWS::SNS::*", "sns:*DataProtectionPolicy iam:*", "topics have neither"),
    ("AWS::SecretsManager::Secret", "secretsmanager:*Region*", "secrets are not replicated"),
    ("AWS::ServiceDiscovery::*", "route53:Change* servicediscovery:*ServiceAttributes", "names have neither"),
    ("AWS::WAFv2::WebACLAssociation", "wafv2:*PermissionPolicy", "for groups of rules that accounts share"),
]
# What the role must not be able to do, though the schemas list it.
FORBIDDEN = ("cloudtrail:StopLogging", "cloudtrail:DeleteTrail")


def is_unused(kind: str, action: str) -> bool:
    """Whether CloudFormation never asks this for a resource type of ours."""
    return any(
        like(types, kind) and any(like(one, action) for one in actions.split())
        for types, actions, _ in UNUSED
    )

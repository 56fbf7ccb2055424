"""ARNs of an environment's resources, kind by kind as the Service Authorization Reference names them. Pure.

Names that AWS draws have one id here, since `foreign.py` gives the twin in another environment another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

UUID = "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
# Kinds that AWS names, or CloudFormation by the logical id.
EC2 = {
    "elastic-ip": "eipalloc",
    "instance": "i",
    "internet-gateway": "igw",
    "launch-template": "lt",
    "natgateway": "nat",
    "network-interface": "eni",
    "prefix-list": "pl",
    "route-table": "rtb",
    "security-group": "sg",
    "subnet": "subnet",
    "volume": "vol",
    "vpc": "vpc",
    "vpc-endpoint": "vpce",
    "vpc-flow-log": "fl",
}
# Everything behind the partition. A kind with two kinds of names has both.
NAMES: dict[str, list[str]] = {
    **{f"ec2:{kind}": [f"ec2:{{here}}:{kind}/{short}-0a1b2c3d4e5f67890"] for kind, short in EC2.items()},
    "acm:certificate": [f"acm:{{here}}:certificate/{UUID}"],
    "application-autoscaling:ScalableTarget": [
        "application-autoscaling:{here}:scalable-target/0a1b2c3d4e5f6a7b8c9d0e1f"
    ],
    "athena:workgroup": ["athena:{here}:workgroup/{stack}"],
    "autoscaling:autoScalingGroup": [
        f"autoscaling:{{here}}:autoScalingGroup:{UUID}:autoScalingGroupName/{{stack}}-Scheduler-1A2B3-Group-4C5D6"
    ],
    "backup:backupPlan": [f"backup:{{here}}:backup-plan:{UUID}"],
    "backup:backupVault": ["backup:{here}:backup-vault:ductwork-{environment}-0a1b2c3d4e5f"],
    "budgets:budget": ["budgets::{account}:budget/{stack}"],
    "cloudformation:changeset": [f"cloudformation:{{here}}:changeSet/{{stack}}-Change-01ABC/{UUID}"],
    "cloudformation:stack": [
        f"cloudformation:{{here}}:stack/{{stack}}/{UUID}",
        f"cloudformation:{{here}}:stack/{{stack}}-Network-1A2B3C/{UUID}",
    ],
    "cloudtrail:trail": ["cloudtrail:{here}:trail/{stack}"],
    "cloudwatch:alarm": ["cloudwatch:{here}:alarm:{stack}-Database-1A2B3C-CpuAlarm-4D5E6F"],
    "cloudwatch:dashboard": ["cloudwatch::{account}:dashboard/{stack}"],
    "codedeploy:application": ["codedeploy:{here}:application:{stack}"],
    "codedeploy:deploymentconfig": ["codedeploy:{here}:deploymentconfig:CodeDeployDefault.OneAtATime"],
    "codedeploy:deploymentgroup": ["codedeploy:{here}:deploymentgroup:{stack}/{stack}-Scheduler-1A2B3C"],
    "ecs:capacity-provider": ["ecs:{here}:capacity-provider/{stack}-Capacity-1A2B3C-Provider-4D5E6F"],
    "ecs:cluster": ["ecs:{here}:cluster/{stack}"],
    "ecs:service": ["ecs:{here}:service/{stack}/scheduler", "ecs:{here}:service/{stack}/worker-default"],
    "ecs:service-deployment": ["ecs:{here}:service-deployment/{stack}/scheduler/0a1b2c3d4e5f6a7b8c9d0e"],
    "ecs:service-revision": ["ecs:{here}:service-revision/{stack}/scheduler/1234567890123456789"],
    "ecs:task": [f"ecs:{{here}}:task/{{stack}}/{UUID.replace('-', '')}"],
    "ecs:task-definition": [
        "ecs:{here}:task-definition/{stack}-migrate:1",
        "ecs:{here}:task-definition/{stack}-worker-default:1",
    ],
    "elasticache:cluster": ["elasticache:{here}:cluster:ductwork-{environment}-001"],
    "elasticache:parametergroup": ["elasticache:{here}:parametergroup:{stack}-cache-parametergroup-1a2b3c"],
    "elasticache:replicationgroup": ["elasticache:{here}:replicationgroup:ductwork-{environment}"],
    "elasticache:subnetgroup": ["elasticache:{here}:subnetgroup:{stack}-cache-subnetgroup-1a2b3c"],
    "elasticfilesystem:access-point": ["elasticfilesystem:{here}:access-point/fsap-0a1b2c3d4e5f67890"],
    "elasticfilesystem:file-system": ["elasticfilesystem:{here}:file-system/fs-0a1b2c3d4e5f67890"],
    "elasticloadbalancing:listener/app": [
        "elasticloadbalancing:{here}:listener/app/ductwo-LoadB-1A2B3C/0a1b2c3d4e5f6789/0a1b2c3d4e5f678a"
    ],
    "elasticloadbalancing:listener-rule/app": [
        "elasticloadbalancing:{here}:listener-rule/app/ductwo-LoadB-1A2B3C/0a1b2c3d4e5f6789/0a1b2c3d4e5f678a/0a1b2c3d4e5f678b"
    ],
    "elasticloadbalancing:loadbalancer/app/": [
        "elasticloadbalancing:{here}:loadbalancer/app/ductwo-LoadB-1A2B3C/0a1b2c3d4e5f6789"
    ],
    "elasticloadbalancing:targetgroup": [
        "elasticloadbalancing:{here}:targetgroup/ductwo-Targe-1A2B3C/0a1b2c3d4e5f6789"
    ],
    "firehose:deliverystream": ["firehose:{here}:deliverystream/{stack}_logs"],
    "glue:catalog": ["glue:{here}:catalog"],
    "glue:database": ["glue:{here}:database/{database}"],
    "glue:table": ["glue:{here}:table/{database}/logs"],
    "iam:instance-profile": ["iam::{account}:instance-profile/ductwork/{stack}/{stack}-Profile-1A2B3C"],
    "iam:policy": ["iam::{account}:policy/ductwork/{stack}/{stack}-HostPolicy-1A2B3C"],
    "iam:role": ["iam::{account}:role/ductwork/{stack}/{stack}-SchedulerRole-1A2B3C"],
    "kms:alias": ["kms:{here}:alias/{stack}"],
    "kms:key": [f"kms:{{here}}:key/{UUID}"],
    "logs:log-group": ["logs:{here}:log-group:/ductwork/{stack}/scheduler"],
    "logs:log-stream": ["logs:{here}:log-group:/ductwork/{stack}/log-delivery:log-stream:s3"],
    "rds:cluster": ["rds:{here}:cluster:{stack}-database-1a2b3c-cluster-4d5e6f"],
    "rds:cluster-pg": ["rds:{here}:cluster-pg:{stack}-database-1a2b3c-parametergroup-4d5e6f"],
    "rds:cluster-snapshot": ["rds:{here}:cluster-snapshot:{stack}-database-1a2b3c-snapshot-cluster-4d5e6f"],
    "rds:db": ["rds:{here}:db:{stack}-database-1a2b3c-database-4d5e6f"],
    "rds:pg": ["rds:{here}:pg:{stack}-database-1a2b3c-parametergroup-4d5e6f"],
    "rds:snapshot": ["rds:{here}:snapshot:{stack}-database-1a2b3c-snapshot-database-4d5e6f"],
    "rds:subgrp": ["rds:{here}:subgrp:{stack}-database-1a2b3c-subnetgroup-4d5e6f"],
    "route53:change": ["route53:::change/C0A1B2C3D4E5F6"],
    "route53:hostedzone": ["route53:::hostedzone/{zone}"],
    "s3:bucket": [
        "s3:::{stack}-audit-0a1b2c3d",
        "s3:::{stack}-entry-0a1b2c3d",
        "s3:::{stack}-storage-1a2b3c-logsbucket-4d5e6f",
    ],
    "secretsmanager:Secret": [
        "secretsmanager:{here}:secret:ductwork/{environment}/platform/fernet-key-0a1b2c3d4e5f-AbCdEf"
    ],
    "servicediscovery:namespace": ["servicediscovery:{here}:namespace/ns-0a1b2c3d4e5f6a7b"],
    "servicediscovery:service": ["servicediscovery:{here}:service/srv-0a1b2c3d4e5f6a7b"],
    "sns:topic": ["sns:{here}:{stack}-Alerts-1A2B3C-Topic-4D5E6F"],
    "sqs:queue": ["sqs:{here}:{stack}_default_0a1b2c3d", "sqs:{here}:{stack}_default_0a1b2c3d_dead"],
    "ssm:parameter": ["ssm:{here}:parameter/{stack}/configuration"],
    "wafv2:loadbalancer/app/": [
        "elasticloadbalancing:{here}:loadbalancer/app/ductwo-LoadB-1A2B3C/0a1b2c3d4e5f6789"
    ],
    "wafv2:webacl": [f"wafv2:{{here}}:regional/webacl/Firewall-1A2B3C/{UUID}"],
}
# What comes with a host.
BROUGHT = {"ec2:instance", "ec2:network-interface", "ec2:volume"}
# Kinds that are there before the environment, or whose resources in CloudFormation take no tags.
UNTAGGED = {
    "cloudformation:changeset",
    "glue:catalog",
    "glue:database",
    "glue:table",
    "iam:instance-profile",
    "iam:policy",
    "logs:log-stream",
    "route53:hostedzone",
}


@dataclass(frozen=True)
class Place:
    """An environment, and where it is."""

    project: str
    environment: str
    account: str
    region: str
    partition: str
    zone: str

    @property
    def stack(self) -> str:
        """Name of its master stack."""
        return f"{self.project}-{self.environment}"

    def arns(self, kind: str) -> Iterator[str]:
        """Its resources of a kind; none for a kind that no environment has."""
        words: Mapping[str, str] = {
            **{name: getattr(self, name) for name in ("stack", "environment", "account", "zone")},
            "here": f"{self.region}:{self.account}",
            "database": self.stack.replace("-", "_"),
        }
        for name in NAMES.get(kind, ()):
            if "{zone}" in name and not self.zone:
                continue
            yield f"arn:{self.partition}:{name.format(**words)}"

    def tags(self, prefix: str) -> dict[str, str]:
        """Its tags as IAM's conditions name them, such as `aws:ResourceTag`."""
        return {f"{prefix}/project": self.project, f"{prefix}/environment": self.environment}

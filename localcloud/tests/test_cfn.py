"""Resource types of ours, and what we correct in ministack's CloudFormation."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from localcloud.cfn.secrets import generate
from localcloud.databases.postgres import binaries
from localcloud.tests.conftest import RunningCloud, Stacks

SECRET = {
    "Type": "AWS::SecretsManager::Secret",
    "Properties": {
        "GenerateSecretString": {
            "SecretStringTemplate": '{"username": "airflow"}',
            "GenerateStringKey": "password",
            "PasswordLength": "32",
            "ExcludePunctuation": True,
        }
    },
}


def query(host: str, port: str, user: str, password: str, database: str, statement: str = "select 1"):
    return subprocess.run(
        [binaries() / "psql", "-h", host, "-p", port, "-U", user, "-d", database, "-tAc", statement],
        env={"PGPASSWORD": password}, capture_output=True, text=True,
    )  # fmt: skip


def test_generated_passwords_honour_their_options() -> None:
    assert re.fullmatch(r"[A-Za-z0-9]{43}", generate({"PasswordLength": "43", "ExcludePunctuation": "true"}))
    assert len(generate({})) == 32
    only = generate({"ExcludePunctuation": True, "ExcludeLowercase": True, "ExcludeUppercase": True,
                     "ExcludeCharacters": "0123456"})  # fmt: skip
    assert set(only) <= set("789")
    with pytest.raises(ValueError, match="excluded"):
        generate({"ExcludePunctuation": True, "ExcludeLowercase": True, "ExcludeUppercase": True,
                  "ExcludeNumbers": True})  # fmt: skip
    with pytest.raises(ValueError, match="too short"):
        generate({"PasswordLength": 3})


def test_secret_is_generated_once_and_ref_is_its_arn(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    sm = cloud.client("secretsmanager")
    first = stacks.made(name, {"Db": SECRET}, {"Arn": {"Ref": "Db"}})
    assert first["Arn"].startswith("arn:aws:secretsmanager:eu-central-1:000000000000:secret:")
    value = json.loads(sm.get_secret_value(SecretId=first["Arn"])["SecretString"])
    assert value["username"] == "airflow"
    assert re.fullmatch(r"[A-Za-z0-9]{32}", value["password"])
    described = {"Db": {**SECRET, "Properties": {**SECRET["Properties"], "Description": "new text"}}}
    second = stacks.updated(
        name, {**described, "Q": {"Type": "AWS::SQS::Queue"}}, {"Arn": {"Ref": "Db"}, "Q": {"Ref": "Q"}}
    )
    assert second["Arn"] == first["Arn"]
    assert json.loads(sm.get_secret_value(SecretId=first["Arn"])["SecretString"]) == value
    assert stacks.delete(name) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sm.get_secret_value(SecretId=first["Arn"])


def database(secret: str) -> dict:
    reference = "{{resolve:secretsmanager:${%s}:SecretString:%s}}"
    return {
        "Type": "AWS::RDS::DBInstance",
        "DeletionPolicy": "Delete",
        "Properties": {
            "Engine": "postgres",
            "DBInstanceClass": "db.t4g.micro",
            "AllocatedStorage": "20",
            "DBName": "airflow",
            "MasterUsername": {"Fn::Sub": reference % (secret, "username")},
            "MasterUserPassword": {"Fn::Sub": reference % (secret, "password")},
        },
    }


DB_OUTPUTS = {
    "Host": {"Fn::GetAtt": ["Database", "Endpoint.Address"]},
    "Port": {"Fn::GetAtt": ["Database", "Endpoint.Port"]},
    "Secret": {"Ref": "Db"},
}


def test_database_is_real_and_its_password_comes_from_the_secret(
    cloud: RunningCloud, stacks: Stacks, name: str
) -> None:
    out = stacks.made(name, {"Db": SECRET, "Database": database("Db")}, DB_OUTPUTS)
    secret = json.loads(
        cloud.client("secretsmanager").get_secret_value(SecretId=out["Secret"])["SecretString"]
    )
    good = query(out["Host"], out["Port"], "airflow", secret["password"], "airflow", "select current_user")
    assert (good.stdout.strip(), good.stderr) == ("airflow", "")
    bad = query(out["Host"], out["Port"], "airflow", "wrong", "airflow")
    assert "password authentication failed" in bad.stderr
    listed = cloud.client("rds").describe_db_instances()["DBInstances"]
    assert any(str(d["Endpoint"]["Port"]) == out["Port"] for d in listed)
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert query(out["Host"], out["Port"], "airflow", secret["password"], "airflow").returncode != 0


def test_database_refuses_what_rds_refuses_and_rolls_back(stacks: Stacks, name: str) -> None:
    weak = {"Database": {"Type": "AWS::RDS::DBInstance", "Properties": {
        "Engine": "postgres", "MasterUsername": "airflow", "MasterUserPassword": "a/b@c d\""}}}  # fmt: skip
    stack = stacks.create(name, weak)
    assert stacks.settle(stack) == "ROLLBACK_COMPLETE"
    assert any("not a valid password" in reason for reason in stacks.reasons(stack))


def test_bucket_properties_reach_the_bucket(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    s3 = cloud.client("s3")
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "BucketName": name,
            "VersioningConfiguration": {"Status": "Enabled"},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
                ]
            },
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "old",
                        "Status": "Enabled",
                        "Prefix": "logs/",
                        "ExpirationInDays": 30,
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                    }
                ]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        },
    }
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": []},
        },
    }
    stacks.made(name, {"Bucket": bucket, "Policy": policy})
    rule = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0]
    assert rule["Expiration"]["Days"] == 30
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"] == []
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    assert stacks.delete(name) == "DELETE_FAILED"
    for version in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_queue_and_its_dead_letter_queue(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    resources = {
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "VisibilityTimeout": 43200,
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                    "maxReceiveCount": 3,
                },
            },
        },
    }
    out = stacks.made(name, resources, {"Url": {"Ref": "Queue"}})
    assert out["Url"].startswith(cloud.endpoint)
    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=out["Url"], AttributeNames=["All"])[
        "Attributes"
    ]
    assert attributes["VisibilityTimeout"] == "43200"
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] in (3, "3")


def test_hosts_take_an_image_by_its_id(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    """The launch template of a host group, as it is in `templates/`."""
    image = "ami-0123456789abcdef0"
    text = (Path(__file__).parents[2] / "templates/engines/ec2/host-group.yaml").read_text()
    account = "arn:aws:iam::000000000000"
    given = {
        "EnvironmentName": "test", "MasterStackName": name, "Component": "scheduler", "WorkerSet": "",
        "AirflowComponents": "scheduler", "SubnetIds": "subnet-00000001,subnet-00000002",
        "SecurityGroupId": "sg-00000001", "TargetGroupArn": "", "TargetGroupName": "", "Image": image,
        "InstanceType": "t3.small", "MoreInstanceTypes": "", "MinCount": "0", "MaxCount": "0",
        "InstanceProfileArn": f"{account}:instance-profile/p", "FileSystemId": "", "FileAccessPointId": "",
        "CodeDeployApplication": "a", "CodeDeployRoleArn": f"{account}:role/r",
    }  # fmt: skip
    stacks.api.create_stack(
        StackName=name,
        TemplateBody=text[: text.index("\n  Group:\n")],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    assert stacks.settle(name) == "CREATE_COMPLETE", stacks.reasons(name)
    resource = stacks.api.describe_stack_resource(StackName=name, LogicalResourceId="LaunchTemplate")
    template = resource["StackResourceDetail"]["PhysicalResourceId"]
    versions = cloud.client("ec2").describe_launch_template_versions(LaunchTemplateId=template)
    assert versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"] == image
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_small_types_and_the_public_image_parameter(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    resources = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24"},
        },
        "Ip": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
        "Nat": {
            "Type": "AWS::EC2::NatGateway",
            "Properties": {
                "SubnetId": {"Ref": "Subnet"},
                "AllocationId": {"Fn::GetAtt": ["Ip", "AllocationId"]},
            },
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "g", "VpcId": {"Ref": "Vpc"}},
        },
        "Rule": {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {
                "GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
                "SourceSecurityGroupId": {"Ref": "Group"},
            },
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        },
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
        "GitHub": {
            "Type": "AWS::IAM::OIDCProvider",
            "Properties": {
                "Url": "https://token.actions.githubusercontent.com",
                "ClientIdList": ["sts.amazonaws.com"],
            },
        },
    }  # fmt: skip
    parameters = {
        "Image": {
            "Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            "Default": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
        }
    }
    outputs = {key: {"Ref": key} for key in ("Image", "Profile", "GitHub", "Ip", "Nat", "Group")}
    out = stacks.made(name, resources, outputs, Parameters=parameters)
    assert out["Image"].startswith("ami-")
    assert not out["Profile"].startswith("arn:")
    profile = cloud.client("iam").get_instance_profile(InstanceProfileName=out["Profile"])["InstanceProfile"]
    assert len(profile["Roles"]) == 1
    group = cloud.client("ec2").describe_security_groups(GroupIds=[out["Group"]])["SecurityGroups"][0]
    assert group["IpPermissions"][0]["FromPort"] == 5432
    assert stacks.delete(name) == "DELETE_COMPLETE"


def balanced(scheme: str, *, group_for_each: bool = False) -> dict:
    """A load balancer before a target group, which may be another one for each scheme."""
    group = f"Group{scheme.title().replace('-', '')}" if group_for_each else "Group"
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/16"}},
        **{
            f"Subnet{index}": {
                "Type": "AWS::EC2::Subnet",
                "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": f"10.9.{index}.0/24"},
            }
            for index in (1, 2)
        },
        "Balancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {"Scheme": scheme, "Subnets": [{"Ref": "Subnet1"}, {"Ref": "Subnet2"}]},
        },
        group: {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "Port": 8080, "Protocol": "HTTP"},
        },
        "Listener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": group}}],
            },
        },
    }


def test_a_target_group_belongs_to_one_balancer(stacks: Stacks, name: str) -> None:
    """A change of the scheme makes the new balancer first, so its target group has to be new too."""
    stacks.made(name, balanced("internal"))
    with pytest.raises(AssertionError, match="UPDATE_ROLLBACK_COMPLETE"):
        stacks.updated(name, balanced("internet-facing"))
    assert any("cannot be associated with more than one load balancer" in why for why in stacks.reasons(name))
    stacks.updated(name, balanced("internet-facing", group_for_each=True))
    assert stacks.delete(name) == "DELETE_COMPLETE"

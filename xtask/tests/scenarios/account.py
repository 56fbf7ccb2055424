"""Changes what the account of the local cloud has: one JSON document with what was made.

`account.py raise N` grants a quota of N vCPUs on demand; `account.py fill` uses up elastic IP addresses and VPCs, and
`account.py empty` gives them back; `account.py lock` makes a secret whose key is disabled, `account.py unlock`
enables it; `account.py make` makes certificates, a hosted zone and subnets in one zone; `account.py reader` makes
keys of a role that may only read, `account.py deployer` of one with the rights of GitHub's deploy role.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from localcloud.iam import delivery
from localcloud.iam.resources import Place

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
REGION, LOGIN = "us-east-1", "ductwork/aws/login/google"
MINE = [{"Key": "made-by", "Value": "account.py"}]
FILTER = [{"Name": "tag:made-by", "Values": ["account.py"]}]


def grant(client: Callable[[str], Any], vcpus: float) -> dict:
    client("service-quotas").request_service_quota_increase(
        ServiceCode="ec2", QuotaCode="L-1216C47A", DesiredValue=vcpus
    )
    return {}


def fill(client: Callable[[str], Any]) -> dict:
    ec2 = client("ec2")
    for _ in range(5 - len(ec2.describe_addresses()["Addresses"])):
        made = ec2.allocate_address(Domain="vpc")["AllocationId"]
        ec2.create_tags(Resources=[made], Tags=MINE)
    for number in range(5 - len(ec2.describe_vpcs()["Vpcs"])):
        made = ec2.create_vpc(CidrBlock=f"10.{200 + number}.0.0/16")["Vpc"]["VpcId"]
        ec2.create_tags(Resources=[made], Tags=MINE)
    return {}


def empty(client: Callable[[str], Any]) -> dict:
    ec2 = client("ec2")
    for vpc in ec2.describe_vpcs(Filters=FILTER)["Vpcs"]:
        ec2.delete_vpc(VpcId=vpc["VpcId"])
    for address in ec2.describe_addresses()["Addresses"]:
        if MINE[0] in address.get("Tags", []):
            ec2.release_address(AllocationId=address["AllocationId"])
    return {}


def lock(client: Callable[[str], Any]) -> dict:
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    client("secretsmanager").create_secret(Name=LOGIN, SecretString="value", KmsKeyId=key)
    kms.disable_key(KeyId=key)
    return {}


def unlock(client: Callable[[str], Any]) -> dict:
    client("kms").enable_key(KeyId=client("secretsmanager").describe_secret(SecretId=LOGIN)["KmsKeyId"])
    return {}


def make(client: Callable[[str], Any]) -> dict:
    ec2, acm = client("ec2"), client("acm")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.99.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        for number, zone in enumerate("aab")
    ]

    def certificate(method: str) -> str:
        made = acm.request_certificate(DomainName="*.example.com", ValidationMethod=method)
        return str(made["CertificateArn"])

    zone = client("route53").create_hosted_zone(Name="example.org", CallerReference="account")
    return {
        "vpc": vpc,
        "subnets": [one["Subnet"]["SubnetId"] for one in subnets],
        "pending": certificate("EMAIL"),
        "issued": certificate("DNS"),
        "zone": zone["HostedZone"]["Id"].rpartition("/")[2],
    }


def reader(client: Callable[[str], Any]) -> dict:
    look = ["*:Describe*", "*:Get*", "*:List*", "iam:Simulate*"]
    return keys(client, "reader", {"look": document({"Effect": "Allow", "Action": look, "Resource": "*"})})


def deployer(client: Callable[[str], Any]) -> dict:
    """What `doctor` itself asks is not for a deployment, so the deploy role may not ask it."""
    place = Place("ductwork", "aws", "000000000000", REGION, "aws", "")
    made = delivery.template(delivery.texts(TEMPLATES, tasks=False), place).policies()
    asks = {"Effect": "Allow", "Action": ["iam:GetRole", "iam:Simulate*"], "Resource": "*"}
    policies = {name: json.dumps(policy) for name, policy in made.items()}
    return keys(client, "deployer", {**policies, "asks": document(asks)})


def keys(client: Callable[[str], Any], name: str, policies: dict[str, str]) -> dict:
    iam = client("iam")
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(everybody))["Role"]
    for title, policy in policies.items():
        iam.put_role_policy(RoleName=name, PolicyName=title, PolicyDocument=policy)
    made = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="somebody")["Credentials"]
    return {name: value for name, value in made.items() if isinstance(value, str)}


def document(statement: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


VERBS = {
    "lock": lock, "unlock": unlock, "fill": fill, "empty": empty, "make": make, "reader": reader,
    "deployer": deployer,
}  # fmt: skip


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("raise", *VERBS))
    parser.add_argument("vcpus", type=float, nargs="?", default=0)
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args()
    endpoint = json.loads((options.state / "cloud.json").read_text(encoding="utf-8"))["endpoint"]
    session = boto3.Session("local", "local", region_name=REGION)
    client = partial(session.client, endpoint_url=endpoint)
    done = grant(client, options.vcpus) if options.verb == "raise" else VERBS[options.verb](client)
    json.dump(done, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""AWS::EC2::{EIP,NatGateway,SecurityGroupIngress,SecurityGroupEgress},
AWS::IAM::{InstanceProfile,OIDCProvider}: records in ministack's own stores. No packet is ever routed.
"""

from __future__ import annotations

import json
from urllib.parse import urlparse

from ministack.core.responses import get_account_id, new_uuid
from ministack.services import ec2, iam, ssm
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import register, tags_of
from localcloud.shapes import Made

# Public parameters with the newest Amazon Linux 2023; ministack knows only some of them.
PUBLIC_IMAGES = [
    f"/aws/service/ami-amazon-linux-latest/al2023-ami-{flavour}kernel-{kernel}-{machine}"
    for flavour in ("", "minimal-")
    for kernel in ("default", "6.1", "6.12")
    for machine in ("x86_64", "arm64")
]


def _tag(resource_id: str, props: dict) -> None:
    tags = tags_of(props)
    if tags:
        ec2._tags[resource_id] = tags


def _eip_create(logical_id: str, props: dict, stack_name: str) -> Made:
    before = set(ec2._addresses)
    ec2._allocate_address({"Domain": [props.get("Domain", "vpc")]})
    allocation = (set(ec2._addresses) - before).pop()
    _tag(allocation, props)
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _eip_delete(physical_id: str, props: dict) -> None:
    for allocation, record in list(ec2._addresses.items()):
        if record["PublicIp"] == physical_id:
            ec2._release_address({"AllocationId": [allocation]})


def _eip_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    allocation = next((a for a, r in ec2._addresses.items() if r["PublicIp"] == physical_id), "")
    return physical_id, {"AllocationId": allocation, "PublicIp": physical_id}


def _nat_create(logical_id: str, props: dict, stack_name: str) -> Made:
    before = set(ec2._nat_gateways)
    answer = ec2._create_nat_gateway(
        {key: [str(props[key])] for key in ("SubnetId", "AllocationId", "ConnectivityType") if props.get(key)}
    )
    if answer[0] >= 300:
        raise ValueError(f"AWS::EC2::NatGateway was refused: {answer[2]!r}")
    nat = (set(ec2._nat_gateways) - before).pop()
    _tag(nat, props)
    return nat, {"NatGatewayId": nat}


def _nat_delete(physical_id: str, props: dict) -> None:
    ec2._nat_gateways.pop(physical_id, None)
    ec2._tags.pop(physical_id, None)


def _nat_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    _tag(physical_id, new)
    return physical_id, {"NatGatewayId": physical_id}


def _rule_store(props: dict, key: str) -> list:
    group = ec2._security_groups.get(props.get("GroupId", ""))
    if group is None:
        raise ValueError(f"The security group '{props.get('GroupId', '')}' does not exist")
    return group.setdefault(key, [])


def _install_rule(resource_type: str, key: str, prefix: str) -> None:
    def create(logical_id: str, props: dict, stack_name: str) -> Made:
        store = _rule_store(props, key)
        permission = provisioners._ec2_sg_permissions([props])[0]
        if any(_same_rule(permission, other) for other in store):
            raise ValueError("the specified rule already exists")
        store.append(permission)
        rule_id = f"sgr-{new_uuid().replace('-', '')[:17]}"
        return rule_id, {"Id": rule_id}

    def delete(physical_id: str, props: dict) -> None:
        group = ec2._security_groups.get(props.get("GroupId", ""))
        if group is not None:
            permission = provisioners._ec2_sg_permissions([props])[0]
            group[key] = [other for other in group.get(key, []) if not _same_rule(permission, other)]

    def update(
        physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        # Only the description can change in place.
        delete(physical_id, old)
        _rule_store(new, key).append(provisioners._ec2_sg_permissions([new])[0])
        return physical_id, {"Id": physical_id}

    register(resource_type, create, delete, update)


def _same_rule(one: dict, other: dict) -> bool:
    return json.dumps(ec2._strip_descriptions(one), sort_keys=True) == json.dumps(
        ec2._strip_descriptions(other), sort_keys=True
    )


def _profile_arn(name: str) -> str:
    record = iam._instance_profiles.get(name)
    return record["Arn"] if record else ""


def _profile_create(logical_id: str, props: dict, stack_name: str) -> Made:
    """Ref is the name on AWS; ministack answers the ARN."""
    arn, _ = provisioners._iam_ip_create(logical_id, props, stack_name)
    return arn.rpartition("/")[2], {"Arn": arn}


def _profile_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    arn, _ = provisioners._iam_ip_update(_profile_arn(physical_id), old, new, stack_name, logical_id)
    return arn.rpartition("/")[2], {"Arn": arn}


def _profile_delete(physical_id: str, props: dict) -> None:
    iam._instance_profiles.pop(physical_id, None)


def _oidc_create(logical_id: str, props: dict, stack_name: str) -> Made:
    """Only its ARN is used: trust policies refer to it."""
    url = urlparse(props.get("Url", ""))
    if url.scheme != "https":
        raise ValueError("Url of an OpenID Connect provider must begin with https://")
    arn = f"arn:aws:iam::{get_account_id()}:oidc-provider/{url.netloc}{url.path}"
    return arn, {"Arn": arn}


def _oidc_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    return physical_id, {"Arn": physical_id}


def install() -> None:
    register("AWS::EC2::EIP", _eip_create, _eip_delete, _eip_update)
    register("AWS::EC2::NatGateway", _nat_create, _nat_delete, _nat_update)
    _install_rule("AWS::EC2::SecurityGroupIngress", "IpPermissions", "ingress")
    _install_rule("AWS::EC2::SecurityGroupEgress", "IpPermissionsEgress", "egress")
    register("AWS::IAM::InstanceProfile", _profile_create, _profile_delete, _profile_update)
    register("AWS::IAM::OIDCProvider", _oidc_create, lambda physical_id, props: None, _oidc_update)
    for name in PUBLIC_IMAGES:
        ssm._PUBLIC_AMI_PARAMETERS.setdefault(name, "ami-0c2023a1b2c3d4e5f")

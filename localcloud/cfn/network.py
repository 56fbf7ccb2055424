"""AWS::EC2::{EIP,NatGateway,FlowLog,PrefixList,SecurityGroupIngress,SecurityGroupEgress}: records in ministack's
own stores. No packet is ever routed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ministack.core.responses import new_uuid
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import register, tags_of, truth
from localcloud.emulator.shapes import Action, Answer, Made

# Public parameters with the newest Amazon Linux 2023; ministack knows only some of them.
PUBLIC_IMAGES = [
    f"/aws/service/ami-amazon-linux-latest/al2023-ami-{flavour}kernel-{kernel}-{machine}"
    for flavour in ("", "minimal-")
    for kernel in ("default", "6.1", "6.12")
    for machine in ("x86_64", "arm64")
]
# Those with ECS's agent, all of which are one image here.
ECS_IMAGE = "ami-0ec5a1b2c3d4e5f60"
ECS_IMAGES = [
    f"/aws/service/ecs/optimized-ami/amazon-linux-2023/{machine}recommended/image_id"
    for machine in ("", "arm64/")
]
FLOW_LOG = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")


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
    _tag(allocation, new)
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


NAT_ADDRESSES = re.compile(rb"<natGatewayId>(nat-[0-9a-f]+)</natGatewayId>.*?(<natGatewayAddressSet/>)", re.S)


def with_addresses(describe: Action) -> Action:
    """DescribeNatGateways with the Elastic IP, which ministack keeps but does not answer."""

    def addresses(match: re.Match[bytes]) -> bytes:
        allocation = (ec2._nat_gateways.get(match[1].decode()) or {}).get("AllocationId") or ""
        public = (ec2._addresses.get(allocation) or {}).get("PublicIp", "")
        item = (
            f"<natGatewayAddressSet><item><allocationId>{allocation}</allocationId><publicIp>{public}</publicIp>"
            "</item></natGatewayAddressSet>"
        )
        return match[0].replace(match[2], item.encode())

    def handler(params: dict) -> Answer:
        status, headers, body = describe(params)
        return status, headers, NAT_ADDRESSES.sub(addresses, body) if status == 200 else body

    return handler


def endpoint_xml(original: Callable[..., str]) -> Callable[..., str]:
    """An endpoint with what only interface endpoints have."""

    def xml(endpoint: dict, tag: str = "item") -> str:
        groups = "".join(
            f"<item><groupId>{name}</groupId></item>" for name in endpoint.get("SecurityGroupIds") or []
        )
        private = str(truth(endpoint.get("PrivateDnsEnabled"))).lower()
        more = f"<groupSet>{groups}</groupSet><privateDnsEnabled>{private}</privateDnsEnabled></{tag}>"
        return original(endpoint, tag).removesuffix(f"</{tag}>") + more

    return xml


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


def _flow_log_create(logical_id: str, props: dict, stack_name: str) -> Made:
    before = set(ec2._flow_logs)
    ec2._create_flow_logs(
        {
            "ResourceId.1": [props["ResourceId"]],
            **{key: [str(props[key])] for key in FLOW_LOG if props.get(key)},
        }
    )
    made = (set(ec2._flow_logs) - before).pop()
    _tag(made, props)
    return made, {"Id": made}


def _flow_log_delete(physical_id: str, props: dict) -> None:
    ec2._delete_flow_logs({"FlowLogId.1": [physical_id]})


def _retag(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
    """For what can only change its tags in place."""
    _tag(physical_id, new)
    return physical_id, {"Id": physical_id}


def _prefix_list_create(logical_id: str, props: dict, stack_name: str) -> Made:
    before = set(ec2._prefix_lists)
    answer = ec2._create_managed_prefix_list(
        {key: [str(props[key])] for key in ("PrefixListName", "AddressFamily", "MaxEntries") if key in props}
    )
    if answer[0] >= 300:
        raise ValueError(f"AWS::EC2::PrefixList was refused: {answer[2]!r}")
    made = (set(ec2._prefix_lists) - before).pop()
    _fill(made, props)
    return made, _prefix_list_attributes(made)


def _fill(physical_id: str, props: dict) -> None:
    entries = [
        {"Cidr": entry["Cidr"], "Description": entry.get("Description", "")}
        for entry in props.get("Entries") or []
    ]
    ranges = [entry["Cidr"] for entry in entries]
    if len(set(ranges)) < len(ranges):
        raise ValueError("The prefix list has the same CIDR block more than once")
    record = ec2._prefix_lists[physical_id]
    if len(entries) > int(props.get("MaxEntries") or record["MaxEntries"]):
        raise ValueError("The prefix list has more entries than MaxEntries")
    record["Entries"] = entries
    _tag(physical_id, props)


def _prefix_list_attributes(physical_id: str) -> dict:
    record = ec2._prefix_lists[physical_id]
    return {
        "PrefixListId": physical_id,
        "Arn": record["PrefixListArn"],
        "OwnerId": record["OwnerId"],
        "Version": str(record["Version"]),
    }


def _prefix_list_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    if old.get("MaxEntries") != new.get("MaxEntries") and old.get("Entries") != new.get("Entries"):
        raise ValueError("You cannot modify the entries and the size of a prefix list at the same time")
    record = ec2._prefix_lists[physical_id]
    record.update(
        PrefixListName=new["PrefixListName"], MaxEntries=int(new.get("MaxEntries") or record["MaxEntries"])
    )
    if old.get("Entries") != new.get("Entries"):
        record["Version"] += 1
    _fill(physical_id, new)
    return physical_id, _prefix_list_attributes(physical_id)


def _prefix_list_delete(physical_id: str, props: dict) -> None:
    ec2._prefix_lists.pop(physical_id, None)
    ec2._tags.pop(physical_id, None)


def install() -> None:
    register("AWS::EC2::EIP", _eip_create, _eip_delete, _eip_update)
    register("AWS::EC2::NatGateway", _nat_create, _nat_delete, _nat_update)
    _install_rule("AWS::EC2::SecurityGroupIngress", "IpPermissions", "ingress")
    _install_rule("AWS::EC2::SecurityGroupEgress", "IpPermissionsEgress", "egress")
    register("AWS::EC2::FlowLog", _flow_log_create, _flow_log_delete, _retag)
    register("AWS::EC2::PrefixList", _prefix_list_create, _prefix_list_delete, _prefix_list_update)


def with_public_images(known: dict[str, str]) -> dict[str, str]:
    """The public parameters that name images, with those that hosts are launched from."""
    return (
        dict.fromkeys(PUBLIC_IMAGES, "ami-0c2023a1b2c3d4e5f") | dict.fromkeys(ECS_IMAGES, ECS_IMAGE) | known
    )

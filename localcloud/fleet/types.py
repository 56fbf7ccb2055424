"""Instance types: what they have and the zones that offer them, as EC2 tells. Launches nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

from ministack.core.responses import get_region
from ministack.services import ec2

from localcloud.emulator.shapes import Action, Answer

ZONES = "abc"
# GPUs are found in one zone of the region only, as on AWS in most regions.
RARE, RARE_ZONES = re.compile(r"[gp]\d"), "c"
FAMILY = re.compile(r"[a-z][a-z0-9-]*\d[a-z0-9-]*")
ONE_VCPU = {"t2.nano", "t2.micro", "t2.small"}
SMALL = {"nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4}
LISTED = [
    f"{family}.{size}" for family in ("t3", "t4g", "m7g", "m7i") for size in ("medium", "large", "xlarge")
]


def vcpus(name: str) -> int | None:
    """None for a type that does not exist."""
    family, _, size = name.partition(".")
    if not FAMILY.fullmatch(family):
        return None
    if name in ONE_VCPU or (size == "medium" and re.fullmatch(r"[a-z]+\dg\w*", family) and family != "t4g"):
        return 1
    number = re.fullmatch(r"(\d+)xlarge", size)
    return int(number[1]) * 4 if number else SMALL.get(size)


# Of the burstable sizes below `large`, in MiB; every other type has so much for each of its vCPUs.
SMALL_MIB = {"nano": 512, "micro": 1024, "small": 2048, "medium": 4096}
MIB_OF_VCPU = {"c": 2048, "r": 8192, "x": 16384}
USABLE = 0.955  # of the memory; the rest is the kernel's, before ECS's agent registers what it finds
# Network interfaces: docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html
INTERFACES = {"nano": 2, "micro": 2, "small": 3, "medium": 3, "large": 3, "xlarge": 4, "2xlarge": 4}
MORE_INTERFACES = 8


def cpu_units(name: str) -> int:
    """As ECS counts them."""
    return 1024 * (vcpus(name) or 0)


def usable_mib(name: str) -> int:
    """What tasks can have of the memory."""
    family, _, size = name.partition(".")
    whole = (vcpus(name) or 0) * MIB_OF_VCPU.get(family[0], 4096)
    if family.startswith("t"):
        whole = SMALL_MIB.get(size, whole)
    return int(whole * USABLE)


def interfaces(name: str) -> int:
    """Network interfaces that an instance can have; its own is one of them."""
    family, _, size = name.partition(".")
    if family.startswith("m") and size == "medium":
        return 2
    return INTERFACES.get(size, MORE_INTERFACES)


def zones(name: str) -> list[str]:
    """The zones that offer a type."""
    if vcpus(name) is None:
        return []
    return [f"{get_region()}{zone}" for zone in (RARE_ZONES if RARE.match(name) else ZONES)]


def described(describe: Action) -> Action:
    """DescribeInstanceTypes with true numbers of vCPUs, and with the filter `instance-type`."""

    def handler(params: dict) -> Answer:
        asked = ec2._parse_member_list(params, "InstanceType")
        unknown = [name for name in asked if vcpus(name) is None]
        if unknown:
            message = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
            return ec2._error("InvalidInstanceType", message, 400)
        filtered = ec2._parse_filters(params).get("instance-type")
        names = [name for name in filtered or asked or LISTED if vcpus(name) is not None]
        if not names:
            return ec2._xml(200, "DescribeInstanceTypesResponse", "<instanceTypeSet/>")
        status, headers, body = describe({f"InstanceType.{n}": [name] for n, name in enumerate(names, 1)})
        return status, headers, _with_vcpus(body)

    return handler


def _with_vcpus(body: bytes) -> bytes:
    pattern = rb"(<instanceType>([^<]+)</instanceType>.*?<defaultVCpus>)\d+"

    def true(match: re.Match[bytes]) -> bytes:
        return match[1] + str(vcpus(match[2].decode())).encode()

    return re.sub(pattern, true, body, flags=re.S)


def offerings(params: dict) -> Answer:
    """DescribeInstanceTypeOfferings, by zone or for the region."""
    filters = ec2._parse_filters(params)
    by_zone = ec2._p(params, "LocationType") == "availability-zone"
    items = [
        (name, location)
        for name in filters.get("instance-type") or LISTED
        for location in (zones(name) if by_zone else [get_region()] if zones(name) else [])
        if location in (filters.get("location") or [location])
    ]
    kind = "availability-zone" if by_zone else "region"
    xml = "".join(
        f"<item><instanceType>{name}</instanceType><locationType>{kind}</locationType>"
        f"<location>{location}</location></item>"
        for name, location in items
    )
    body = f"<instanceTypeOfferingSet>{xml}</instanceTypeOfferingSet>"
    return ec2._xml(200, "DescribeInstanceTypeOfferingsResponse", body)


def with_market(original: Callable[[dict], str]) -> Callable[[dict], str]:
    """An instance with its lifecycle, which only Spot instances have."""

    def xml(instance: dict) -> str:
        lifecycle = instance.get("InstanceLifecycle")
        if not lifecycle:
            return original(instance)
        return original(instance).rstrip().removesuffix("</item>") + (
            f"<instanceLifecycle>{lifecycle}</instanceLifecycle></item>"
        )

    return xml

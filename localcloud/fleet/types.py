"""Instance types: their vCPUs and the zones that offer them, as EC2 tells. Launches nothing."""

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

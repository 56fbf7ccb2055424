"""What an account says of itself: quotas, instance types, certificates that wait."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from localcloud.fleet import types
from localcloud.tests.conftest import RunningCloud

ON_DEMAND = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}


def test_a_new_accounts_quotas_and_an_increase_survive_a_restart(fresh: RunningCloud) -> None:
    quotas = fresh.client("service-quotas")
    assert quotas.get_service_quota(**ON_DEMAND)["Quota"]["Value"] == 5
    for service, code in (("ec2", "L-34B43A08"), ("ec2", "L-0263D0A3"), ("vpc", "L-F678F1CE")):
        assert quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"] == 5
    for code in ("L-3032A538", "L-36FBB829"):
        assert quotas.get_service_quota(ServiceCode="fargate", QuotaCode=code)["Quota"]["Value"] == 6
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-00000000")
    with pytest.raises(ClientError, match="IllegalArgumentException"):
        quotas.request_service_quota_increase(**ON_DEMAND, DesiredValue=5)
    quotas.request_service_quota_increase(**ON_DEMAND, DesiredValue=64)
    fresh.saved(servicequotas="64")
    fresh.kill()
    quotas = fresh.start().client("service-quotas")
    assert quotas.get_service_quota(**ON_DEMAND)["Quota"]["Value"] == 64
    assert quotas.get_aws_default_service_quota(**ON_DEMAND)["Quota"]["Value"] == 5
    other = fresh.client("service-quotas", "us-west-2")
    assert other.get_service_quota(**ON_DEMAND)["Quota"]["Value"] == 5, "quotas belong to a region"


def test_instance_types_have_their_vcpus_and_those_that_do_not_exist_are_left_out(
    cloud: RunningCloud,
) -> None:
    ec2 = cloud.client("ec2")
    wanted = ["t3.medium", "m7g.medium", "m7i.2xlarge", "t9x.tiny"]
    found = ec2.describe_instance_types(Filters=[{"Name": "instance-type", "Values": wanted}])[
        "InstanceTypes"
    ]
    vcpus = {one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] for one in found}
    assert vcpus == {"t3.medium": 2, "m7g.medium": 1, "m7i.2xlarge": 8}
    with pytest.raises(ClientError, match="InvalidInstanceType"):
        ec2.describe_instance_types(InstanceTypes=["t9x.tiny"])
    assert (types.vcpus("t2.micro"), types.vcpus("t4g.medium"), types.vcpus("m5.24xlarge")) == (1, 2, 96)


def test_some_types_are_offered_in_one_zone_only(cloud: RunningCloud) -> None:
    answer = cloud.client("ec2").describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["t3.medium", "g5g.xlarge", "t9x.tiny"]}],
    )
    found = [(one["InstanceType"], one["Location"][-1]) for one in answer["InstanceTypeOfferings"]]
    assert found == [("t3.medium", "a"), ("t3.medium", "b"), ("t3.medium", "c"), ("g5g.xlarge", "c")]


def test_a_certificate_waits_for_mail_but_not_for_a_record(cloud: RunningCloud) -> None:
    acm = cloud.client("acm")

    def status(method: str) -> str:
        arn = acm.request_certificate(DomainName="a.example.com", ValidationMethod=method)["CertificateArn"]
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"]

    assert (status("DNS"), status("EMAIL")) == ("ISSUED", "PENDING_VALIDATION")

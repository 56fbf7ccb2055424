"""The elastic IP address of an environment without a load balancer: the API server's host takes it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ductwork_airflow import contract
from ductwork_airflow.hosts import metadata
from ductwork_airflow.hosts.settings import SettingsError


def take(env: Mapping[str, str]) -> None:
    """Makes the address this host's own, whoever had it; nothing on other hosts, or behind a load balancer."""
    allocation = env["DUCTWORK_ADDRESS"]
    if allocation == contract.NONE or "api-server" not in env["DUCTWORK_COMPONENTS"].split():
        return
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    # As it arrives, the address that the host began with goes, and connections with it.
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 8}, connect_timeout=10, read_timeout=20
    )
    client = boto3.client("ec2", region_name=env["AWS_REGION"], config=config)
    try:
        instance = metadata.metadata(os.environ).get("instance-id") or ""
        client.associate_address(AllocationId=allocation, InstanceId=instance, AllowReassociation=True)
    except (BotoCoreError, ClientError, OSError) as error:
        raise SettingsError(
            f"the elastic IP address {allocation} was not associated with this host: {error}"
        ) from error

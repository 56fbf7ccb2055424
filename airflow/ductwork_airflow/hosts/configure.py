"""Writes airflow.env from the stack's outputs and parameters: `python -m ductwork_airflow.hosts.configure`."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from ductwork_airflow.hosts import address, connections, envfile, secret
from ductwork_airflow.hosts.settings import Host, SettingsError, host_environment

log = logging.getLogger("ductwork.configure")


def stack_values(stack: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Outputs and parameters of an answer of DescribeStacks."""
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}
    parameters = {
        entry["ParameterKey"]: entry.get("ResolvedValue", entry["ParameterValue"])
        for entry in stack.get("Parameters", [])
    }
    return outputs, parameters


def revision(environ: dict[str, str]) -> str:
    """The sha256 in the key of the revision that CodeDeploy is installing."""
    found = re.search(r"([0-9a-f]{64})\.zip$", environ.get("BUNDLE_KEY", ""))
    return found[1] if found else "unknown"


def describe(name: str, region: str) -> dict[str, Any]:
    """The stack, from CloudFormation."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": 8}
    client = boto3.client("cloudformation", region_name=region, config=Config(retries=retries))
    return dict(client.describe_stacks(StackName=name)["Stacks"][0])


def existing_database(outputs: Mapping[str, str], fetch: secret.Fetch) -> str:
    """The kind of an existing database, which only the URL in its secret tells; empty for the stack's own."""
    if outputs.get("DatabaseEngine") != "existing":
        return ""
    try:
        return connections.kind("existing", fetch(outputs["DatabaseSecretArn"]))
    except (KeyError, ValueError) as error:
        raise SettingsError(f"the secret of the existing database is not of use: {error}") from error


def not_installed(values: Mapping[str, str]) -> str:
    """The packages that `packages.py` leaves out, because this machine is not ours to change."""
    return values["DUCTWORK_PACKAGES"].replace(",", " ") if values["DUCTWORK_LOCAL"] == "True" else ""


def main() -> int:
    """The command line, without arguments."""
    envfile.log_to_stderr()
    env = envfile.read_host()
    host = Host(
        root=envfile.host_root(),
        region=env["AWS_REGION"],
        environment=env["DUCTWORK_ENVIRONMENT"],
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),
        revision=revision(dict(os.environ)),
        stack=env["DUCTWORK_STACK"],
        components=tuple(env["DUCTWORK_COMPONENTS"].split()),
        worker_set=env.get("DUCTWORK_WORKER_SET", ""),
        files=env.get("DUCTWORK_FILES", ""),
    )
    try:
        outputs, parameters = stack_values(describe(host.stack, host.region))
        kind = existing_database(outputs, secret.secrets_manager(host.region))
        values = host_environment(outputs, parameters, host, kind)
        address.take(values)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if packages := not_installed(values):
        log.info(
            "hosts of a local cloud are processes of this machine, so these are not installed: %s", packages
        )
    envfile.write_lines(envfile.airflow_file(), values)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

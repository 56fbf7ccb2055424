"""Writes a receipt to the artifact bucket: `python -m ductwork_airflow.receipts.send`, the document on its input.

A process of its own, which ends at once: the AWS SDK would cost each companion 40 MB for as long as the component runs.
It adds who this is for AWS: an instance, or a task and what it was made of.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from ductwork_airflow import contract
from ductwork_airflow.hosts import background, metadata
from ductwork_airflow.images import place


def identity(env: Mapping[str, str]) -> dict[str, str]:
    """Asked of the container's or the instance's metadata."""
    if url := env.get(place.METADATA):
        task: Any = place.ask(f"{url}/task")
        return {
            "id": str(task["TaskARN"]).rpartition("/")[2],
            "task_definition": f"{task['Family']}:{task['Revision']}",
        }
    instance = metadata.metadata(env).get("instance-id")
    if not instance:
        raise OSError("the metadata service tells no instance id")
    return {"id": instance}


def send(receipt: Mapping[str, Any], env: Mapping[str, str], s3: Any) -> None:
    """One request. The same receipt is the same bytes."""
    whole = {**receipt, **identity(env)}
    s3.put_object(
        Bucket=env["DUCTWORK_ARTIFACT_BUCKET"],
        Key=contract.receipt_key(env["DUCTWORK_ENVIRONMENT"], whole["id"], whole["component"]),
        Body=json.dumps(whole, sort_keys=True).encode(),
        ContentType="application/json",
    )


def main() -> int:
    """What is wrong goes to standard error, in one line."""
    os.environ.update(background.host_values())
    try:
        send(json.load(sys.stdin), os.environ, background.client("s3", os.environ["AWS_REGION"]))
    except Exception as error:  # whatever it is: the next beat tries again
        sys.stderr.write(f"{type(error).__name__}: {error}".splitlines()[0] + "\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

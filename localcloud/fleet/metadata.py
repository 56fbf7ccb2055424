"""The instance metadata service (IMDSv2) of every local instance, below one path of the cloud's own port.

Instances find it through AWS_EC2_METADATA_SERVICE_ENDPOINT. An interruption of a Spot instance is made by
writing the notice to `run/spot-instance-action` of its folder, one of a rebalance with
`run/rebalance-recommendation`. Never answers without a token.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ministack.core.responses import request_scope
from ministack.services import ec2

from localcloud.base.paths import State
from localcloud.emulator.shapes import Answer
from localcloud.fleet.ec2 import LEAVING, Fleet, instances
from localcloud.fleet.hostenv import METADATA, SECRET_KEY, access_key

TOKEN_HEADER, TTL_HEADER = "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds"
MAX_TTL = 21600
CREDENTIAL_HOURS = 6


def _target_state(state: str) -> str:
    """The state that an instance is in, or on its way to."""
    return "Terminated" if state in LEAVING else "Standby" if state == "Standby" else "InService"


class Metadata:
    def __init__(self, state: State, fleet: Fleet) -> None:
        self._state = state
        self._fleet = fleet

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        instance_id, _, rest = path.removeprefix(METADATA + "/").partition("/")
        found = next((item for item in self._fleet.records.all_items() if item[0][2] == instance_id), None)
        if found is None:
            return _text(404, "no such instance")
        (account, region, _), record = found
        if rest == "latest/api/token":
            return _new_token(instance_id, method, headers.get(TTL_HEADER, ""))
        if not _is_token(instance_id, headers.get(TOKEN_HEADER, "")):
            return _text(401, "Unauthorized")
        if method != "GET":
            return _text(405, "Method Not Allowed")
        with request_scope(account, region):
            document = self._documents(record, account, region)
            value = document.get(rest.rstrip("/")) or _listing(document, rest)
        return _text(200, value) if value else _text(404, "Not Found")

    def _documents(self, record: dict, account: str, region: str) -> dict[str, str]:
        instance_id = record["InstanceId"]
        made = ec2._instances.get(instance_id) or {}
        run = self._state.instance_root(instance_id) / "run"
        data = {
            "ami-id": made.get("ImageId", ""),
            "autoscaling/target-lifecycle-state": _target_state(record["State"]),
            "hostname": "localhost",
            "instance-id": instance_id,
            "instance-life-cycle": record.get("Market", instances.ON_DEMAND),
            "instance-type": made.get("InstanceType", ""),
            "local-hostname": "localhost",
            "local-ipv4": "127.0.0.1",
            "placement/availability-zone": record["AvailabilityZone"],
            "placement/region": region,
            "spot/instance-action": _file(run / "spot-instance-action"),
            "events/recommendations/rebalance": _file(run / "rebalance-recommendation"),
        }
        role = instances.profile_of(instance_id)
        if role:
            data[f"iam/security-credentials/{role}"] = _credentials(instance_id)
        identity = {
            "accountId": account, "region": region, "instanceId": instance_id, "version": "2017-09-30",
            "availabilityZone": record["AvailabilityZone"], "imageId": data["ami-id"],
            "instanceType": data["instance-type"], "privateIp": "127.0.0.1",
        }  # fmt: skip
        return {f"latest/meta-data/{key}": value for key, value in data.items() if value} | {
            "latest/dynamic/instance-identity/document": json.dumps(identity)
        }


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _listing(document: dict[str, str], path: str) -> str:
    """A folder's entries, one in a line."""
    prefix = path.rstrip("/") + "/"
    below = [key.removeprefix(prefix) for key in document if key.startswith(prefix)]
    return "\n".join(sorted({key.partition("/")[0] + ("/" if "/" in key else "") for key in below}))


def _credentials(instance_id: str) -> str:
    now = datetime.now(timezone.utc)
    shape = "%Y-%m-%dT%H:%M:%SZ"
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": now.strftime(shape),
            "Type": "AWS-HMAC",
            "AccessKeyId": access_key(instance_id),
            "SecretAccessKey": SECRET_KEY,
            "Token": "local",
            "Expiration": (now + timedelta(hours=CREDENTIAL_HOURS)).strftime(shape),
        }
    )


def _sign(instance_id: str, expiry: int) -> str:
    """A token outlives the cloud, since instances do; it keeps nothing from anybody here."""
    digest = hmac.new(instance_id.encode(), str(expiry).encode(), hashlib.sha256).hexdigest()
    return f"{expiry}.{digest}"


def _new_token(instance_id: str, method: str, ttl: str) -> Answer:
    if method != "PUT":
        return _text(405, "Method Not Allowed")
    if not ttl.isdecimal() or not 1 <= int(ttl) <= MAX_TTL:
        return _text(400, "Bad Request")
    return _text(200, _sign(instance_id, int(time.time()) + int(ttl)), {TTL_HEADER: ttl})


def _is_token(instance_id: str, token: str) -> bool:
    expiry = token.partition(".")[0]
    fresh = expiry.isdecimal() and int(expiry) > time.time()
    return fresh and hmac.compare_digest(token, _sign(instance_id, int(expiry)))


def _text(status: int, body: str, headers: dict[str, str] | None = None) -> Answer:
    return status, {"content-type": "text/plain", **(headers or {})}, body.encode()

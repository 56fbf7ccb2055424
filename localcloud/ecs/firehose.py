"""Delivery streams that write to S3, as the log routers of tasks use them: judged by the stream's own role.

ministack writes the objects. Firehose collects records for a minute or so; here, what a router sends at once is one.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator

from ministack.services import cloudwatch_logs, s3
from ministack.services import firehose as service

from localcloud.ecs.errors import StartError
from localcloud.ecs.logs import put_events
from localcloud.ecs.rights import Rights

MOST = 1000 * 1024  # bytes of a record
ASSUMES = "firehose.amazonaws.com"
KEY = re.compile(r"arn:aws:kms:[^<]+")  # in the XML of a bucket's encryption


def put(name: str, lines: list[str]) -> str:
    """Hand records, a line each, to a stream; answers why it does not take them, if so."""
    stream = service._streams.get(name)
    if stream is None:
        return f"PutRecordBatch: ResourceNotFoundException: Firehose {name} not found under account."
    for destination in stream["destinations"]:
        reason = _undeliverable(destination["config"], name)
        if reason:
            _tell(destination["config"], name, reason)
            return ""  # the stream has taken it
    for text in _joined(lines):
        data = base64.b64encode(text).decode()
        service._put_record_batch({"DeliveryStreamName": name, "Records": [{"Data": data}]})
    for destination in stream["destinations"]:
        destination["records"].clear()  # ministack keeps what it has delivered, and saves it with its state
    return ""


def _joined(lines: list[str]) -> Iterator[bytes]:
    """What becomes an object each: lines together, as long as a record may be."""
    text = b""
    for line in lines:
        more = f"{line}\n".encode()
        if text and len(text) + len(more) > MOST:
            yield text
            text = b""
        text += more
    if text:
        yield text


def _undeliverable(config: dict, name: str) -> str:
    """Why an object cannot be written, if so."""
    bucket = config["BucketARN"].rpartition(":")[2]
    try:
        rights = Rights(config["RoleARN"], name, lambda role, action, resource: None, service=ASSUMES)
    except StartError:
        return f"Firehose is unable to assume role {config['RoleARN']}."
    if bucket not in s3._buckets:
        return "The specified bucket does not exist."
    prefix = config.get("Prefix", "").partition("!{")[0]
    wanted = [("s3:PutObject", f"{config['BucketARN']}/{prefix}x")]
    key = KEY.search(str(s3._bucket_encryption.get(bucket)))
    if key is not None:
        wanted.append(("kms:GenerateDataKey", key[0]))
    return next(filter(None, (rights.denied(*one) for one in wanted)), "")


def _tell(config: dict, name: str, reason: str) -> None:
    """Into the log that the stream has for it."""
    options = config.get("CloudWatchLoggingOptions") or {}
    group, stream = options.get("LogGroupName", ""), options.get("LogStreamName", "")
    if str(options.get("Enabled")).lower() != "true" or group not in cloudwatch_logs._log_groups:
        return
    if stream in cloudwatch_logs._log_groups[group]["streams"]:
        told = {
            "deliveryStreamARN": service._stream_arn(name),
            "errorCode": "S3.AccessDenied",
            "message": reason,
        }
        put_events(group, stream, [json.dumps({**told, "at": int(time.time())})])

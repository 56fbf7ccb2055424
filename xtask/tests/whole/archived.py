"""Prints what the table of logs of the environment `local` would hold: the objects at its location, line by line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3

cloud = json.loads((Path(sys.argv[sys.argv.index("--state") + 1]) / "cloud.json").read_text())
keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
glue, s3, athena = (
    boto3.client(name, endpoint_url=cloud["endpoint"], region_name="us-east-1", **keys)
    for name in ("glue", "s3", "athena")
)
table = glue.get_table(DatabaseName="ductwork_local", Name="logs")["Table"]
queries = athena.list_named_queries(WorkGroup="ductwork-local")["NamedQueryIds"]
named = [athena.get_named_query(NamedQueryId=one)["NamedQuery"]["Name"] for one in queries]
# As the partition projection says: one folder for each value of `logged_on`.
template = table["Parameters"]["storage.location.template"].removeprefix("s3://")
bucket, _, prefix = template.partition("${logged_on}")[0].partition("/")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
found = [one["Key"] for page in pages for one in page.get("Contents", [])]
bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in found]
lines = [json.loads(line) for body in bodies for line in body.splitlines()]
columns = {one["Name"] for one in table["StorageDescriptor"]["Columns"]}
unknown = sorted({key for line in lines for key in line} - columns)
print(json.dumps({"lines": lines, "queries": sorted(named), "unknown": unknown, "objects": len(found)}))

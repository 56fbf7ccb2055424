"""FireLens: lines by way of a task's log router reach CloudWatch Logs and S3, or the router says why they do not."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from localcloud.ecs import firelens
from localcloud.tests.conftest import RunningCloud, until
from localcloud.tests.ecskit import TRUST, Place, make_place

ROUTER = "public.ecr.aws/aws-observability/aws-for-fluent-bit:3.4.17"
WRITES = ("logs:CreateLogStream", "logs:PutLogEvents", "firehose:PutRecordBatch")
FIREHOSE = json.loads(json.dumps(TRUST).replace("ecs-tasks", "firehose"))


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return prepared(cloud, name)


def prepared(cloud: RunningCloud, name: str) -> Place:
    """With a bucket, and a stream that may write to it."""
    made = make_place(cloud, name)
    made.role("task", WRITES)
    cloud.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    stream(made, made.role("delivery", ("s3:PutObject",), trust=FIREHOSE))
    return made


def stream(place: Place, role: str) -> None:
    place.logs.create_log_group(logGroupName=f"{place.name}-delivery")
    place.logs.create_log_stream(logGroupName=f"{place.name}-delivery", logStreamName="s3")
    place.cloud.client("firehose").create_delivery_stream(
        DeliveryStreamName=f"{place.name}_logs",
        ExtendedS3DestinationConfiguration={
            "BucketARN": f"arn:aws:s3:::{place.name}",
            "RoleARN": role,
            "Prefix": "lines/day=!{timestamp:yyyy-MM-dd}/",
            "CloudWatchLoggingOptions": {
                "Enabled": True, "LogGroupName": f"{place.name}-delivery", "LogStreamName": "s3",
            },
        },
    )  # fmt: skip


def router(place: Place, **more: object) -> dict:
    command = ["fluent-bit", "-o", "kinesis_firehose", "-m", "*-firelens-*", "-p", "region=eu-central-1",
               "-p", f"delivery_stream={place.name}_logs", "-p", "time_key=at"]  # fmt: skip
    wanted = {"image": ROUTER, "command": command, "firelensConfiguration": {"type": "fluentbit"}}
    return place.container("router", **{**wanted, **more})


def writer(place: Place, **options: str) -> dict:
    given = {"Name": "cloudwatch_logs", "region": "eu-central-1", "log_group_name": place.name,
             "log_stream_prefix": "task/", "log_key": "log", **options}  # fmt: skip
    return place.container(
        command=["exit", "3"], logConfiguration={"logDriver": "awsfirelens", "options": given},
        dependsOn=[{"containerName": "router", "condition": "START"}],
    )  # fmt: skip


def finished(place: Place, *containers: dict, role: str = "task") -> dict:
    more = {"taskRoleArn": f"arn:aws:iam::000000000000:role/{place.name}-{role}"} if role else {}
    return place.wait(place.run(place.define(*containers, **more)))


def streams(place: Place) -> list[str]:
    found = place.logs.describe_log_streams(logGroupName=place.name)["logStreams"]
    return [one["logStreamName"] for one in found if one["logStreamName"].startswith("task/")]


def records(place: Place) -> list[dict]:
    s3 = place.cloud.client("s3")
    found = s3.list_objects_v2(Bucket=place.name, Prefix="lines/day=").get("Contents", [])
    bodies = [s3.get_object(Bucket=place.name, Key=one["Key"])["Body"].read().decode() for one in found]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def test_a_line_reaches_cloudwatch_as_it_is_and_s3_with_the_task_that_wrote_it(place: Place) -> None:
    task = finished(place, router(place), writer(place))
    assert {one["name"]: one["exitCode"] for one in task["containers"]} == {"router": 0, "main": 3}
    identity = task["taskArn"].rpartition("/")[2]
    assert streams(place) == [f"task/main-firelens-{identity}"]
    events = place.logs.get_log_events(logGroupName=place.name, logStreamName=streams(place)[0])["events"]
    assert [event["message"] for event in events] == ["begins exit"]
    until(lambda: records(place), what="an object in S3")
    [record] = records(place)
    assert record.pop("at") and record.pop("container_name")
    assert record == {
        "log": "begins exit",
        "source": "stdout",
        "ecs_cluster": place.name,
        "ecs_task_arn": task["taskArn"],
        "ecs_task_definition": task["taskDefinitionArn"].rpartition("/")[2],
    }


@pytest.mark.parametrize(
    ("role", "options", "says"),
    [
        ("nothing", {}, "perform: logs:CreateLogStream"),
        ("nothing", {}, "perform: firehose:PutRecordBatch"),
        ("", {}, "Could not find any credentials"),
        (
            "task",
            {"log_group_name": "none"},
            "ResourceNotFoundException: The specified log group does not exist",
        ),
    ],
)
def test_the_router_says_what_it_could_not_deliver(place: Place, role: str, options: dict, says: str) -> None:
    place.role("nothing", ("s3:ListBucket",))
    finished(place, router(place), writer(place, **options), role=role)
    task = place.ecs.list_tasks(cluster=place.name, desiredStatus="STOPPED")["taskArns"][0]
    assert any(says in line for line in place.lines(task, "router")), place.lines(task, "router")
    assert streams(place) == []
    assert (records(place) == []) is (role != "task"), "one output that fails does not keep the other from it"


def test_what_is_too_much_for_one_record_becomes_several(place: Place) -> None:
    many = "import os; os.write(1, b'x' * 90 + b'\\n' + b'y\\n' * 20000)"
    finished(
        place,
        router(place),
        writer(place) | {"entryPoint": ["/app/venv/bin/python"], "command": ["-c", many]},
    )
    assert len([one for one in records(place) if one["log"] == "y"]) == 20000


def test_a_stream_that_is_not_there_takes_nothing(place: Place) -> None:
    place.cloud.client("firehose").delete_delivery_stream(DeliveryStreamName=f"{place.name}_logs")
    task = finished(place, router(place), writer(place))
    says = place.lines(task["taskArn"], "router")
    assert any("PutRecordBatch: ResourceNotFoundException" in line for line in says), says
    assert len(streams(place)) == 1 and records(place) == []


@pytest.mark.parametrize(
    ("actions", "trust", "reason"),
    [
        (("s3:ListBucket",), FIREHOSE, "perform: s3:PutObject"),
        (("s3:PutObject",), TRUST, "unable to assume role"),
        (("s3:PutObject",), FIREHOSE, "perform: kms:GenerateDataKey"),
        (("s3:PutObject", "kms:GenerateDataKey"), FIREHOSE, ""),
    ],
)
def test_a_stream_whose_role_may_not_write_tells_so_in_its_own_log(
    place: Place, actions: tuple[str, ...], trust: dict, reason: str
) -> None:
    """The bucket's key is asked for as well."""
    rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:eu-central-1:000000000000:key/one"}
    place.cloud.client("s3").put_bucket_encryption(
        Bucket=place.name,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
    )
    place.cloud.client("firehose").delete_delivery_stream(DeliveryStreamName=f"{place.name}_logs")
    place.logs.delete_log_group(logGroupName=f"{place.name}-delivery")
    stream(place, place.role("another", actions, trust=trust))
    finished(place, router(place), writer(place))
    told = place.logs.get_log_events(logGroupName=f"{place.name}-delivery", logStreamName="s3")["events"]
    says = [json.loads(event["message"])["message"] for event in told]
    assert len(says) == (1 if reason else 0) and all(reason in one for one in says), says
    assert len(records(place)) == (0 if reason else 1)


@pytest.mark.parametrize(
    ("options", "image", "reason"),
    [
        ({"Name": "nowhere"}, ROUTER, "has no output 'nowhere'"),
        ({"log_group": "x"}, ROUTER, "unknown configuration property 'log_group'"),
        ({}, "docker.io/fluent/fluent-bit:4", "runs no other log router"),
        ({}, ROUTER.replace("3.4.17", "latest"), "a pinned version"),
    ],
)
def test_a_router_that_cannot_start_keeps_its_task_from_starting(
    place: Place, options: dict, image: str, reason: str
) -> None:
    task = finished(place, router(place, image=image), writer(place, **options))
    assert task["stopCode"] == "TaskFailedToStart" and reason in task["stoppedReason"], task["stoppedReason"]


def test_a_log_driver_and_its_router_belong_together(place: Place) -> None:
    alone = {**writer(place), "dependsOn": []}
    with pytest.raises(ClientError, match="a firelens configuration object must be configured"):
        place.define(alone)
    with pytest.raises(ClientError, match="at least one container has to be configured with the awsfirelens"):
        place.define(router(place))
    with pytest.raises(ClientError, match="Only one container"):
        place.define(router(place), {**router(place), "name": "second"}, alone)


def test_the_command_of_a_router_names_outputs() -> None:
    words = "fluent-bit -c /etc/fluent-bit.conf -o a -m x-* -p one=1 -p two=a=b -o b -p three=3".split()
    first, second = firelens.of_command(words)
    assert (first.plugin, first.match, first.options) == ("a", "x-*", {"one": "1", "two": "a=b"})
    assert (second.plugin, second.match, second.options) == ("b", "", {"three": "3"})


def test_lines_of_the_time_without_the_cloud_are_sent_when_it_is_back(fresh: RunningCloud) -> None:
    place = prepared(fresh, "routed")
    wait = "while not os.path.exists('go'): time.sleep(0.02)"
    late = f"import os, time; print('early', flush=True)\n{wait}\nprint('late')"
    container = writer(place) | {"entryPoint": ["/app/venv/bin/python"], "command": ["-c", late]}
    definition = place.define(
        router(place),
        container
        | {"workingDirectory": "/data", "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]},
        volumes=[{"name": "data"}],
        taskRoleArn=f"arn:aws:iam::000000000000:role/{place.name}-task",
    )
    arn = place.run(definition)
    place.wait(arn, "RUNNING")
    until(lambda: [one["log"] for one in records(place)] == ["early"], what="the first line")
    fresh.saved(ecs=arn, firehose=f"{place.name}_logs", iam=f"{place.name}-delivery")
    fresh.kill()
    (place.folder(arn).parents[1] / "volumes/data/go").touch()
    until((place.folder(arn) / "exit").exists, what="it ended meanwhile")
    fresh.start()
    place.wait(arn)
    assert sorted(one["log"] for one in records(place)) == ["early", "late"]

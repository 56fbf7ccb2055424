"""FireLens: what the log router of a task does with the lines of the other containers, done by this cloud itself.

The router's image is not run: its container waits to be stopped, and this module reads what Fluent Bit would have been
configured with, the options of a container's log driver and `-o`, `-m` and `-p` of the router's own command. It sends
with the rights of the task's role. As there, what cannot be delivered is lost, and the router's log says why.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ministack.core.responses import get_account_id, request_scope
from ministack.services import cloudwatch_logs

from localcloud.ecs import firehose
from localcloud.ecs.errors import StartError
from localcloud.ecs.images import Image
from localcloud.ecs.logs import Tail, put_events
from localcloud.ecs.rights import Rights

IMAGE = re.compile(r"public\.ecr\.aws/aws-observability/aws-for-fluent-bit:(?!latest$|stable$)[\w.-]+")
# Waits for SIGTERM, as a router that has nothing to do.
COMMAND = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]
# docs.fluentbit.io, pipeline/outputs/cloudwatch and firehose: what each output must have, and what else it may.
PLUGINS = {
    "cloudwatch_logs": (
        {"region", "log_group_name"},
        {"log_stream_prefix", "log_stream_name", "log_key", "auto_create_group"},
    ),
    "kinesis_firehose": (
        {"region", "delivery_stream"},
        {"time_key", "time_key_format", "log_key", "data_keys"},
    ),
}
REFUSED = "Essential container in task exited: the log router says: [error] [config] "


@dataclass(frozen=True)
class Output:
    plugin: str
    match: str
    options: dict[str, str]

    def check(self) -> None:
        """Raises StartError for what Fluent Bit does not start with."""
        if self.plugin not in PLUGINS:
            raise StartError(f"{REFUSED}the local cloud has no output '{self.plugin}'")
        needed, more = PLUGINS[self.plugin]
        missing, unknown = needed - self.options.keys(), self.options.keys() - needed - more
        if missing:
            raise StartError(f"{REFUSED}{self.plugin}: '{min(missing)}' is required")
        if unknown:
            raise StartError(f"{REFUSED}{self.plugin}: unknown configuration property '{min(unknown)}'")


def router(containers: list[dict]) -> dict | None:
    """The definition of a task's log router."""
    return next((one for one in containers if one.get("firelensConfiguration")), None)


def stand_in(reference: str, folder: Path) -> Image:
    """What a router's container is started from; raises StartError for an image other than AWS's of Fluent Bit."""
    if IMAGE.fullmatch(reference) is None:
        raise StartError(
            f"CannotPullContainerError: {reference}: the local cloud does what a pinned version of "
            "public.ecr.aws/aws-observability/aws-for-fluent-bit would do, and runs no other log router"
        )
    return Image("", folder, {}, (), "")


def uses(container: dict) -> bool:
    return (container.get("logConfiguration") or {}).get("logDriver") == "awsfirelens"


def _of_driver(container: dict) -> Output:
    options = dict(container["logConfiguration"].get("options") or {})
    return Output(options.pop("Name", ""), f"{container['name']}-firelens*", options)


def of_command(words: list[str]) -> list[Output]:
    """The outputs that a router's own command adds to those of its configuration."""
    found: list[Output] = []
    for flag, value in itertools.pairwise(words):
        if flag == "-o":
            found.append(Output(value, "", {}))
        elif flag == "-m" and found:
            found[-1] = Output(found[-1].plugin, value, found[-1].options)
        elif flag == "-p" and found:
            key, _, text = value.partition("=")
            found[-1].options[key] = text
    return found


class Routed(Tail):
    """The lines of one container, on their way through the router."""

    def __init__(
        self, container: dict, router: dict, task: dict, folder: Path, role: Callable[[], Rights | None]
    ) -> None:
        super().__init__(folder)
        self._container, self._task = container, task
        self._tag = f"{container['name']}-firelens-{task['local']['id']}"
        self._router = folder.parent / router["name"] / "log"
        outputs = [_of_driver(container), *of_command(router.get("command") or [])]
        self._outputs = [one for one in outputs if fnmatch.fnmatchcase(self._tag, one.match)]
        options = router["firelensConfiguration"].get("options") or {}
        self._with_metadata = options.get("enable-ecs-log-metadata", "true") == "true"
        self._role = role

    def open(self, rights: Rights | None) -> None:
        """Nothing is made before the first line; raises StartError for a configuration that stops the router."""
        for one in self._outputs:
            one.check()

    def _put(self, lines: list[str]) -> None:
        rights = self._role()
        for output in self._outputs:
            send = self._to_logs if output.plugin == "cloudwatch_logs" else self._to_firehose
            with request_scope(get_account_id(), output.options["region"]):
                reason = send(output.options, lines, rights) if rights else "Could not find any credentials"
            if reason:
                self._say(output.plugin, reason)

    def _say(self, plugin: str, reason: str) -> None:
        stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime())
        with self._router.open("a", encoding="utf-8") as file:
            file.write(f"[{stamp}] [error] [output:{plugin}:{plugin}.0] {self._tag}: {reason}\n")

    def _record(self, line: str) -> dict[str, str]:
        definition = self._task["taskDefinitionArn"].rpartition("/")[2]
        metadata = {
            "ecs_cluster": self._task["clusterArn"].rpartition("/")[2],
            "ecs_task_arn": self._task["taskArn"],
            "ecs_task_definition": definition,
        }
        name = self._container["name"]
        mine = {
            "container_name": f"/ecs-{definition.replace(':', '-')}-{name}",
            "source": "stdout",
            "log": line,
        }
        return {**mine, **(metadata if self._with_metadata else {})}

    def _to_logs(self, options: dict[str, str], lines: list[str], rights: Rights) -> str:
        """Why they did not arrive, if so."""
        group, stream = options["log_group_name"], options.get("log_stream_name")
        stream = stream or f"{options.get('log_stream_prefix', '')}{self._tag}"
        arn = f"arn:aws:logs:{options['region']}:{get_account_id()}:log-group:{group}"
        creates = options.get("auto_create_group") == "true"
        wanted = [("logs:CreateLogGroup", arn)] if creates else []
        wanted += [
            (f"logs:{action}", f"{arn}:log-stream:{stream}") for action in ("CreateLogStream", "PutLogEvents")
        ]
        denied = next(filter(None, (rights.denied(*one) for one in wanted)), "")
        if denied:
            return denied
        if creates:
            cloudwatch_logs._create_log_group({"logGroupName": group})
        if group not in cloudwatch_logs._log_groups:
            return (
                f"CreateLogStream: ResourceNotFoundException: The specified log group does not exist: {group}"
            )
        if stream not in cloudwatch_logs._log_groups[group]["streams"]:
            cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
        put_events(group, stream, [self._text(line, options) for line in lines])
        return ""

    def _to_firehose(self, options: dict[str, str], lines: list[str], rights: Rights) -> str:
        name = options["delivery_stream"]
        arn = f"arn:aws:firehose:{options['region']}:{get_account_id()}:deliverystream/{name}"
        reason = rights.denied("firehose:PutRecordBatch", arn)
        return reason or firehose.put(name, [self._text(line, options) for line in lines])

    def _text(self, line: str, options: dict[str, str]) -> str:
        """A record as an output writes it."""
        record = self._record(line)
        if options.get("log_key"):
            return record.get(options["log_key"], "")
        if options.get("data_keys"):
            record = {key: record[key] for key in options["data_keys"].split(",") if key in record}
        if options.get("time_key"):
            record[options["time_key"]] = _stamp(options.get("time_key_format", "%Y-%m-%dT%H:%M:%S"))
        return json.dumps(record)


def _stamp(wanted: str) -> str:
    now = time.time()
    return time.strftime(wanted.replace("%3N", f"{int(now * 1000) % 1000:03}"), time.gmtime(now))

"""What a container writes, line by line; and the awslogs driver, which sends it to the local CloudWatch Logs.

The container writes to a file, so that it goes on without the cloud; this module sends what is new in the file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from ministack.core.responses import get_account_id, request_scope
from ministack.services import cloudwatch_logs

from localcloud.ecs.errors import StartError
from localcloud.ecs.rights import Rights

KEPT = 10_000  # events of a stream; the whole state of the logs is saved at once
MOST = 256 * 1024  # bytes of the file that are read at a time, and of an event
LONGEST = 16 * 1024 * 1024  # bytes of a file that is begun anew once all of it is sent
NO_GROUP = "ResourceNotFoundException: The specified log group does not exist."


class Tail:
    """The lines of one container, which whoever knows where they belong sends on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "log"
        self._sent = folder / "sent"

    def open(self, rights: Rights | None) -> None:
        """Make what the lines go to; raises StartError if it cannot be made."""

    def _put(self, lines: list[str]) -> None:
        """Lines of another log driver go nowhere."""

    def send(self, ended: bool) -> bool:
        """Send the whole lines that are new, and after the container's end the rest; True if there were any."""
        if not self._file.exists():
            return False
        done = int(self._sent.read_text()) if self._sent.exists() else 0
        if self._file.stat().st_size <= done:
            return False
        with self._file.open("rb") as file:
            file.seek(done)
            new = file.read(MOST)
        whole = new if ended or len(new) == MOST else new[: new.rfind(b"\n") + 1]
        if not whole:
            return False
        self._put([line for line in whole.decode("utf-8", "replace").splitlines() if line])
        done += len(whole)
        if done > LONGEST and done == self._file.stat().st_size:
            os.truncate(self._file, 0)  # the container appends
            done = 0
        self._sent.write_text(str(done))
        return True


class Stream(Tail):
    """The stream of one container, or nothing if it has another log driver."""

    def __init__(self, container: dict, task_id: str, folder: Path) -> None:
        super().__init__(folder)
        logs = container.get("logConfiguration") or {}
        self._options: dict[str, str] = (
            (logs.get("options") or {}) if logs.get("logDriver") == "awslogs" else {}
        )
        prefix = self._options.get("awslogs-stream-prefix", "")
        self.name = f"{prefix}/{container['name']}/{task_id}" if prefix else task_id

    @property
    def group(self) -> str:
        return self._options.get("awslogs-group", "")

    def open(self, rights: Rights | None) -> None:
        """Make the stream; raises StartError if the group is not there or the execution role may not."""
        if not self._options:
            return
        region, account = self._options["awslogs-region"], get_account_id()
        group = f"arn:aws:logs:{region}:{account}:log-group:{self.group}"
        wanted = [("logs:CreateLogStream", f"{group}:log-stream:{self.name}")]
        wanted.append(("logs:PutLogEvents", f"{group}:log-stream:{self.name}"))
        may_create = self._options.get("awslogs-create-group") == "true"
        if may_create:
            wanted.insert(0, ("logs:CreateLogGroup", group))
        reason = next(filter(None, (rights.denied(*one) for one in wanted if rights is not None)), "")
        with request_scope(account, region):
            if not reason and may_create:
                cloudwatch_logs._create_log_group({"logGroupName": self.group})
            if not reason and self.group not in cloudwatch_logs._log_groups:
                reason = NO_GROUP
            if reason:
                raise StartError(
                    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 "
                    f"times: failed to create Cloudwatch log stream: {reason} (log group: {self.group})"
                )
            cloudwatch_logs._create_log_stream({"logGroupName": self.group, "logStreamName": self.name})

    def _put(self, lines: list[str]) -> None:
        if self._options:
            with request_scope(get_account_id(), self._options["awslogs-region"]):
                put_events(self.group, self.name, lines)


def put_events(group: str, stream: str, lines: list[str]) -> None:
    """Lines of now, at the end of a stream."""
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines]
    cloudwatch_logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": events})
    found = cloudwatch_logs._log_groups.get(group) or {"streams": {}}
    _trim((found["streams"].get(stream) or {}).get("events") or [])


def _trim(events: list[dict]) -> None:
    for event in events[:-KEPT]:
        cloudwatch_logs._log_records.pop(event["eventId"], None)
    del events[:-KEPT]

"""What our two programs beside Airflow share: settings, AWS clients, beats, and faults that are told once."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ductwork_airflow.hosts import envfile

log = logging.getLogger("ductwork.background")


def host_values() -> dict[str, str]:
    """host.env: who this host is."""
    return envfile.read_host() if envfile.host_file().exists() else {}


def environment() -> dict[str, str]:
    """Settings of this host: host.env and airflow.env, over the process's own variables. A container has only these."""
    file = envfile.airflow_file()
    written = envfile.read_lines(file) if file.exists() else {}
    env = dict(os.environ) | host_values() | written
    os.environ.update({name: value for name, value in env.items() if name.startswith("AWS_")})
    return env


def worker_sets(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The worker sets of the environment by name."""
    return dict(json.loads(env.get("DUCTWORK_WORKER_SETS") or "{}"))


def own_set(env: Mapping[str, str]) -> dict[str, Any]:
    """The worker set that this host belongs to; empty for a host of none."""
    return worker_sets(env).get(env.get("DUCTWORK_WORKER_SET", ""), {})


def given(value: str | None) -> str:
    """An output of the stack, where a dash says that there is none."""
    return "" if value in (None, "-") else str(value)


def client(service: str, region: str) -> Any:
    """A client that gives up within the minute: the next round tries again."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": 3}
    config = Config(connect_timeout=5, read_timeout=10, retries=retries)
    return boto3.client(service, region_name=region, config=config)


def beat(env: Mapping[str, str], component: str) -> None:
    """Says that a round has been done, and by which process."""
    file = Path(env["DUCTWORK_STATE"], f"{component}.beat")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(os.getpid()), encoding="utf-8")


class Faults:
    """Logs a fault when it appears and when it has gone, not once per round."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Keeps a failure of the block from stopping the others."""
        try:
            yield
        except Exception as error:  # whatever it is: the rest of the round goes on
            self.tell(what, f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            self.tell(what, None)

    def tell(self, what: str, fault: str | None) -> None:
        """Notes what is wrong with something now, or that nothing is."""
        # Request ids and the like change from one failure to the next; the first words do not.
        before = self._open.get(what)
        if fault is None:
            if self._open.pop(what, None) is not None:
                log.info("%s: works again", what)
        elif before is None or before[:60] != fault[:60]:
            log.warning("%s: %s", what, fault)
        if fault is not None:
            self._open[what] = fault

    def is_open(self, what: str) -> bool:
        """Whether the last try failed."""
        return what in self._open

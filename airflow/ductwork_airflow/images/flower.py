"""Flower, Celery's monitor, as a task of its own. It is given the broker and a login, and nothing of Airflow.

`python -m ductwork_airflow.images.flower` is the health check of its container: it answers, and its login is asked for.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from ductwork_airflow.hosts import connections
from ductwork_airflow.hosts.settings import SettingsError, is_local
from ductwork_airflow.images import place, task

NAME = "flower"
PORT = 5555
PREFIX = "flower"  # of its pages, to which the load balancer leads
MOST_TASKS = "10000"  # that it remembers, so that its memory has an end
PATIENCE_SECONDS = 5.0


def _secret(environ: Mapping[str, str], name: str) -> dict[str, str]:
    value = environ.get(f"{task.SECRET}{name}")
    if value is None:
        raise SettingsError(
            f"the container has no variable `{task.SECRET}{name}`: its task definition names no such secret"
        )
    return dict(json.loads(value))


def environment(environ: Mapping[str, str], address: str = "") -> dict[str, str]:
    """What Celery and Flower read. Both logins are in variables, which no list of processes shows."""
    outputs, parameters = task.stack_values(environ)
    kind = outputs.get("BrokerKind", "sqs")
    if kind == "sqs":
        raise SettingsError("Flower asks workers through the broker, and SQS carries no answers")
    tls = kind == "valkey" and not is_local(parameters)
    password = _secret(environ, "CACHE")["password"]
    login = _secret(environ, "FLOWER")
    return {
        **task.inherited(environ),
        "CELERY_BROKER_URL": connections.cache_url(
            password, outputs["CacheHost"], outputs["CachePort"], tls=tls
        ),
        "FLOWER_ADDRESS": address,
        "FLOWER_PORT": str(PORT),
        "FLOWER_URL_PREFIX": PREFIX,
        "FLOWER_BASIC_AUTH": f"{login['username']}:{login['password']}",
        "FLOWER_MAX_TASKS": MOST_TASKS,
    }


def own_address(environ: Mapping[str, str]) -> str:
    """Of the task in a local cloud, whose tasks share a machine; elsewhere all there are."""
    _, parameters = task.stack_values(environ)
    return place.own_address(environ) if is_local(parameters) else ""


def become(environ: Mapping[str, str]) -> None:
    """This process is Flower from here on."""
    env = environment(environ, own_address(environ))
    os.execve(sys.executable, [sys.executable, "-m", "celery", "flower"], env)  # noqa: S606


def fault(address: str) -> str | None:
    """Why it does not work, or None."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{address or place.OWN}:{PORT}/{PREFIX}/"
    try:
        opener.open(f"{url}healthcheck", timeout=PATIENCE_SECONDS).close()
        opener.open(url, timeout=PATIENCE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        return None if error.code == 401 else f"{error.url} says {error.code}"
    except OSError as error:
        return f"no answer from {url}: {error}"
    return f"{url} asks for no password"


def main() -> int:
    """The health check."""
    reason = fault(own_address(os.environ))
    sys.stdout.write("flower works\n" if reason is None else f"flower does not work: {reason}\n")
    return 0 if reason is None else 1


if __name__ == "__main__":
    raise SystemExit(main())

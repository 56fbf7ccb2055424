"""Names of Cloud Map within a VPC: each service of ECS that registers its tasks has an address that stays the same.

Nothing here answers DNS. A name in a variable of a container is replaced by the address, at which a door goes to those
tasks that are registered now (traffic.py); the name of a service that is not there stays as it is, and nobody finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ministack.services import servicediscovery

from localcloud.ecs.store import Store, tail


class Names:
    """Loopback addresses of names, in a network beside that of the tasks."""

    def __init__(self, network: str) -> None:
        self._network = network

    def give(self, store: Store, service: dict) -> None:
        """An address for a service that registers its tasks, if it has none yet."""
        if not service.get("serviceRegistries") or "name" in service["local"]:
            return
        used = {one["local"].get("name") for one in store.all_services()}
        free = (f"{self._network}.{number}" for number in range(1, 255))
        service["local"]["name"] = next(address for address in free if address not in used)


def found(services: Iterable[dict]) -> dict[str, str]:
    """Every name of these services, with its address."""
    known: dict[str, str] = {}
    for service in services:
        if service["status"] == "ACTIVE" and "name" in service["local"]:
            for registry in service.get("serviceRegistries") or []:
                known |= dict.fromkeys(_name(registry), service["local"]["name"])
    return known


def _name(registry: dict) -> Iterable[str]:
    entry = servicediscovery._services.get(tail(registry["registryArn"]))
    namespace = servicediscovery._namespaces.get(entry["NamespaceId"]) if entry else None
    return [f"{entry['Name']}.{namespace['Name']}"] if entry and namespace else []


def resolved(variables: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Variables with addresses in place of names, as what runs in the container would look them up."""
    if not known:
        return dict(variables)
    names = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, known))})(?![\w.-])")
    return {key: names.sub(lambda name: known[name[0]], value) for key, value in variables.items()}

"""Registers every resource type of ours; called once at start-up."""

from __future__ import annotations

from localcloud.cfn import buckets, nested, network, registry, secrets
from localcloud.cfn.databases import Databases
from localcloud.paths import State


def install(state: State) -> None:
    nested.install()
    secrets.install()
    buckets.install()
    network.install()
    Databases(state).install()
    registry.finish()

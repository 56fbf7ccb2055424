"""Registers every resource type of ours; called once at start-up."""

from __future__ import annotations

from localcloud.base.paths import State
from localcloud.cfn import (
    account,
    analytics,
    balancers,
    buckets,
    identity,
    monitoring,
    nested,
    network,
    registry,
    secrets,
)
from localcloud.cfn.containers import Containers
from localcloud.cfn.databases import Databases
from localcloud.cfn.deploys import Deploys
from localcloud.cfn.groups import Groups
from localcloud.codedeploy.api import Service
from localcloud.ecs.parts import Ecs
from localcloud.emulator import patches
from localcloud.emulator.blobs import Blobs
from localcloud.fleet.ec2 import Fleet
from localcloud.fleet.scaling import Scaling


def install(state: State, fleet: Fleet, service: Service, ecs: Ecs) -> Databases:
    """Answers the databases, which the cloud boots."""
    nested.install()
    secrets.install()
    buckets.install()
    network.install()
    identity.install()
    account.install()
    analytics.install()
    balancers.install()
    monitoring.install()
    databases = Databases(state)
    databases.install()
    patches.apply(fleet, Scaling(fleet, service.store), databases, Blobs(state.blobs))
    Groups(fleet).install()
    Deploys(service).install()
    Containers(ecs).install()
    registry.finish()
    return databases

"""The CodeDeploy agent of one instance: carries out the lifecycle events of one deployment, in order.

Knows nothing of other instances, batches or rollbacks; the engine does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from localcloud.codedeploy.appspec import AppSpec, AppSpecError
from localcloud.codedeploy.bundle import BundleError, Fetched, Layout, prune, read_appspec, store
from localcloud.codedeploy.hooks import UNKNOWN, HookRunner, OutputError, Running, ScriptError
from localcloud.codedeploy.install import clean_up, execute
from localcloud.codedeploy.plan import InstallError, Planner

EVENTS = (
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
)
LEAVE_TRAFFIC = ("BeforeBlockTraffic", "BlockTraffic", "AfterBlockTraffic")
ENTER_TRAFFIC = ("BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic")
# These run from the archive of the revision that was installed last, not from the new one.
FROM_LAST_INSTALLED = ("ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic")


SETTINGS = "etc/codedeploy-agent/conf/codedeployagent.yml"
# What the agent asks with its host's role if it is told to, and only then by way of an interface endpoint.
COMMANDS = tuple(
    f"codedeploy-commands-secure:{operation}"
    for operation in (
        "GetDeploymentSpecification", "PollHostCommand", "PutHostCommandAcknowledgement", "PutHostCommandComplete"
    )
)  # fmt: skip


def asks_with_role(host_root: Path) -> bool:
    """Whether the agent's settings on the instance have it authorized by the host's role."""
    settings = host_root / SETTINGS
    return settings.exists() and bool((yaml.safe_load(settings.read_text()) or {}).get(":enable_auth_policy"))


def lifecycle(with_load_balancer: bool) -> tuple[str, ...]:
    """The events of an in-place deployment in their order."""
    return (*LEAVE_TRAFFIC, *EVENTS, *ENTER_TRAFFIC) if with_load_balancer else EVENTS


@dataclass
class EventResult:
    """What the API's `diagnostics` is made of. Of an event that succeeded it says neither script nor output."""

    status: str  # Succeeded | Failed
    code: int = 0
    script: str = ""
    message: str = "Succeeded"
    tail: str = ""


@dataclass(frozen=True)
class Work:
    """One deployment as an instance sees it."""

    deployment_id: str
    application: str
    group: str
    group_id: str
    bundle_type: str
    file_exists_behavior: str
    env: dict[str, str]
    fetch: Callable[[], Fetched]
    bundle_env: dict[str, str]


class Agent:
    def __init__(self, host_root: Path, work: Work, running: Running) -> None:
        self._root = host_root
        self._work = work
        self._layout = Layout(host_root, work.group_id)
        self._running = running

    def run(self, event: str) -> EventResult:
        """Carry out one lifecycle event; never raises for anything a revision can cause."""
        try:
            if event == "DownloadBundle":
                self._download()
            elif event == "Install":
                self._install()
            elif event not in ("BlockTraffic", "AllowTraffic"):
                self._hook(event)
        except ScriptError as error:
            return EventResult("Failed", error.code, error.script, str(error), error.tail)
        except (AppSpecError, BundleError, InstallError, OutputError, OSError) as error:
            return EventResult("Failed", UNKNOWN, message=str(error))
        return EventResult("Succeeded")

    def _download(self) -> None:
        work = self._work
        prune(self._layout, current=work.deployment_id)
        store(self._layout, work.deployment_id, work.fetch().data, work.bundle_type)
        self._layout.write_pointer("most_recent", work.deployment_id)

    def _install(self) -> None:
        layout, work = self._layout, self._work
        archive = layout.archive(work.deployment_id)
        spec = read_appspec(archive)
        # The files of the revision before go first, and stay gone when planning finds a conflict: as on AWS.
        clean_up(layout.cleanup)
        layout.cleanup.parent.mkdir(parents=True, exist_ok=True)
        behavior = spec.file_exists_behavior or work.file_exists_behavior
        plan = Planner(archive, self._root, behavior).plan(spec)
        execute(plan, layout.install_plan, layout.cleanup)
        # AWS's agent calls a revision successful here, before it has started; its ApplicationStop is used
        # next time.
        layout.write_pointer("last_successful", work.deployment_id)

    def _hook(self, event: str) -> None:
        layout, work = self._layout, self._work
        archive = layout.archive(work.deployment_id)
        if event in FROM_LAST_INSTALLED:
            last = layout.read_pointer("last_successful")
            if last is None:
                return  # no revision has been installed before
            archive = last / "deployment-archive"
        spec: AppSpec = read_appspec(archive)
        scripts = spec.hooks.get(event, ())
        if not scripts:
            return
        env = {
            **work.env,
            "LIFECYCLE_EVENT": event,
            "DEPLOYMENT_ID": work.deployment_id,
            "APPLICATION_NAME": work.application,
            "DEPLOYMENT_GROUP_NAME": work.group,
            "DEPLOYMENT_GROUP_ID": work.group_id,
            **work.bundle_env,
        }
        runner = HookRunner(self._root, archive, layout.log(work.deployment_id), self._running)
        runner.run(event, scripts, env)

"""The environment of everything that runs on a local instance: hooks, supervisord and what it starts.

Built from nothing: no variable of the caller leaks into an instance.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from localcloud.databases.postgres import binaries

# Every process of an instance carries this variable, so that the last of them can be found and ended.
MARK = "DUCTWORK_HOST_ROOT"
METADATA = "/_localcloud/metadata"  # below it, each instance's metadata service
SECRET_KEY = "local"  # noqa: S105
KEY_PREFIX = "LCI"  # with the 17 digits of an instance id, as long as a real access key
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class HostEnv:
    """What the instances of one cloud share."""

    endpoint: str
    venvs: str
    python: str
    uv: str

    def of(self, root: Path, region: str) -> dict[str, str]:
        """The whole environment of an instance's processes."""
        env = {
            MARK: str(root),
            "DUCTWORK_INIT": "supervisord",
            "DUCTWORK_SUPERVISOR_CONF": str(root / "etc" / "supervisord.conf"),
            "DUCTWORK_SUPERVISORCTL": str(Path(sys.executable).parent / "supervisorctl"),
            "DUCTWORK_VENVS": self.venvs,
            "DUCTWORK_PYTHON": self.python,
            "DUCTWORK_UV": self.uv,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": access_key(root.name),
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.endpoint}{METADATA}/{root.name}",
            "HOME": str(root / "root"),
            # The client of the databases here comes first: a pg_dump of this machine may be older than they are.
            "PATH": f"{binaries()}:{SYSTEM_PATH}",
            "LANG": "C.UTF-8",
        }
        return {key: value for key, value in env.items() if value}


def access_key(instance_id: str) -> str:
    """An instance's own, so that what it asks can be told from what others ask."""
    return KEY_PREFIX + instance_id.removeprefix("i-").upper()


def instance_of(key: str) -> str:
    """The instance of an access key; empty for any other key."""
    return f"i-{key.removeprefix(KEY_PREFIX).lower()}" if key.startswith(KEY_PREFIX) else ""


def host_env(endpoint: str, state_root: Path) -> HostEnv:
    """What the Rust tool gave `serve`; without it (tests, by hand) folders below the state folder."""
    return HostEnv(
        endpoint=endpoint,
        venvs=os.environ.get("DUCTWORK_VENVS") or str(state_root / "venvs"),
        python=os.environ.get("DUCTWORK_PYTHON") or sys.executable,
        uv=os.environ.get("DUCTWORK_UV", ""),
    )

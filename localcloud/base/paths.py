"""Where everything of one local cloud lives below its state folder. Never creates or reads anything itself,
except `runtime_dir`, which must exist to be short enough for unix sockets.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

# sun_path holds 108 bytes on Linux and 104 on macOS; supervisord binds `<path>.<pid>` first, hence the
# reserve.
SOCKET_PATH_LIMIT = 104 - 12


@dataclass(frozen=True)
class State:
    """The state folder, absolute."""

    root: Path

    @property
    def cloud_json(self) -> Path:
        return self.root / "cloud.json"

    @property
    def port_file(self) -> Path:
        return self.root / "port"

    @property
    def lock_file(self) -> Path:
        return self.root / "lock"

    @property
    def calls_file(self) -> Path:
        return self.root / "calls.jsonl"

    @property
    def services(self) -> Path:
        return self.root / "services"

    @property
    def objects(self) -> Path:
        return self.root / "s3"

    @property
    def instances(self) -> Path:
        return self.root / "instances"

    @property
    def blobs(self) -> Path:
        """Layers as they were pushed to the local ECR."""
        return self.root / "blobs"

    @property
    def images(self) -> Path:
        """Unpacked container images; anything in it can be made again."""
        return self.root / "images"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def pids(self) -> Path:
        return self.root / "pids"

    @property
    def validator(self) -> Path:
        """Where a process waits that has imported Airflow for the next check of DAGs; see `validate_warm.py`."""
        return self.root / "validator.sock"

    def instance_root(self, instance_id: str) -> Path:
        """The directory that stands for `/` of an instance."""
        return self.instances / instance_id

    def supervisor_socket(self, instance_id: str) -> Path:
        """A socket path short enough for the kernel, wherever the state folder lies."""
        near = self.instance_root(instance_id) / "run" / "supervisor.sock"
        if len(os.fsencode(near)) <= SOCKET_PATH_LIMIT:
            return near
        return runtime_dir(self.root) / f"{instance_id}.sock"


def runtime_dir(root: Path, create: bool = True) -> Path:
    """A short private folder for sockets, derived from the state folder so that it is found again."""
    name = f"dw-{os.getuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:10]}"
    # Not $TMPDIR first: `stop` may run with another one than `serve` did.
    base = Path("/tmp") if os.access("/tmp", os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    path = base / name
    if create:
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to someone else")
    return path


def state_at(folder: str | Path) -> State:
    return State(Path(folder).absolute())

"""Runs pytest inside the Airflow environment: `<airflow venv>/bin/python dev/run_pytest.py airflow/tests`.

The venv made from airflow/requirements.lock holds exactly what runs on hosts, so pytest may not be installed there.
It is borrowed from the dev venv (same Python, and locked so that shared packages have the same versions): its
site-packages are put at the end of sys.path, where they can only add modules and never replace one.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def dev_venv(root: Path) -> Path:
    """The dev venv as the release tool names it: dev-<12 hex of the lock's sha256>."""
    digest = hashlib.sha256((root / "dev/requirements.lock").read_bytes()).hexdigest()[:12]
    venvs = Path(os.environ.get("DUCTWORK_VENVS") or root / ".ductwork/venvs")
    return venvs / f"dev-{digest}"


def main() -> int:
    venv = dev_venv(ROOT)
    packages = venv / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    if not packages.is_dir():
        print(
            f"error: no dev venv for this Python at `{packages}`; make it from dev/requirements.lock",
            file=sys.stderr,
        )
        return 2
    sys.path.append(str(packages))
    os.environ["DUCTWORK_DEV_BIN"] = str(venv / "bin")
    import pytest

    # A folder of its own for `tmp_path`: each session of pytest closes the common one (chmod 0700) as it starts,
    # also to the databases that another session has just given to an unprivileged account.
    with tempfile.TemporaryDirectory(prefix="pytest-", ignore_cleanup_errors=True) as folder:
        return int(pytest.main(["--basetemp", str(Path(folder) / "run"), *sys.argv[1:]]))


if __name__ == "__main__":
    raise SystemExit(main())

"""What a component tells its companion: small files in the host's state, replaced in one step.

Whoever writes one is at work on something else, so it never fails and waits for nobody. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "receipts"


def _file(state: Path, component: str, subject: str) -> Path:
    return state / FOLDER / f"{component}.{subject}.json"


def write(env: Mapping[str, str], component: str, subject: str, value: Mapping[str, Any]) -> None:
    """Replaces a note; nothing where there is no host, such as in a container that is started by hand."""
    if not (state := env.get("DUCTWORK_STATE")):
        return
    with contextlib.suppress(OSError):
        target = _file(Path(state), component, subject)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        fresh.write_text(json.dumps(value), encoding="utf-8")
        fresh.replace(target)


def read(state: Path, component: str) -> dict[str, Any]:
    """The notes of a component by subject; one that cannot be read is left out."""
    found: dict[str, Any] = {}
    for file in sorted((state / FOLDER).glob(f"{component}.*.json")):
        with contextlib.suppress(OSError, ValueError):
            found[file.name.split(".")[1]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def clear(state: Path, component: str) -> None:
    """Forgets those of the process before."""
    for file in (state / FOLDER).glob(f"{component}.*"):
        file.unlink(missing_ok=True)

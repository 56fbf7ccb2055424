"""Small file helpers: atomic writes and removal that does not stop at odd permissions."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path


def write_atomic(path: Path, data: str | bytes, mode: int = 0o600) -> None:
    """Write beside and rename, so that a reader sees the old or the new content and a crash leaves no
    half.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def remove_tree(path: Path) -> None:
    """Remove a tree, making read-only folders writable on the way; a missing tree is fine."""

    def unlock(function: Callable[[str], object], name: str, _error: object) -> None:
        entry = Path(name)
        with contextlib.suppress(OSError):
            _unlock(entry.parent)
            if entry.is_dir() and not entry.is_symlink():
                _unlock(entry)
                shutil.rmtree(name, ignore_errors=True)
                return
            function(name)

    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, onerror=unlock)
        if path.exists():
            shutil.rmtree(path, ignore_errors=True)


def _unlock(folder: Path) -> None:
    folder.chmod(folder.stat().st_mode | stat.S_IRWXU)

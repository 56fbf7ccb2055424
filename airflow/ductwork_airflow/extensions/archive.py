"""Turns a DAG bundle's zip into a directory, all of it or nothing; never decides which bundle is wanted.

A directory made here carries a manifest of its files. Being there is not being whole: a process can be killed while
Airflow's own cleanup removes the directory, so `is_complete` compares the files with the manifest before each use.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
import zipfile
from pathlib import Path, PurePosixPath

MANIFEST = ".ductwork-manifest"
_CHUNK = 1 << 20


class BundleError(Exception):
    """A bundle's object is not what its name promises, or may not be unpacked."""


def sha256_of(file: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _checked_name(entry: zipfile.ZipInfo) -> PurePosixPath:
    """The entry's path below the target, or BundleError when it could write anywhere else."""
    name = entry.filename
    path = PurePosixPath(name)
    if not name or "\\" in name or "\0" in name or path.is_absolute() or ".." in path.parts:
        raise BundleError(f"refusing zip entry `{name}`: it leads out of the bundle")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BundleError(f"refusing zip entry `{name}`: only files and directories may be in a bundle")
    if path.parts and path.parts[0] == MANIFEST:
        raise BundleError(f"refusing zip entry `{name}`: the name is reserved")
    return path


def extract(archive: Path, target: Path) -> None:
    """Unpacks `archive` into the new directory `target` and writes its manifest last.

    Raises BundleError for entries that lead outside, links, duplicates and damaged content.
    The caller renames `target` into place, so a reader never sees it half made.
    """
    sizes: dict[str, int] = {}
    target.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as source:
            names = [(entry, _checked_name(entry)) for entry in source.infolist()]
            for entry, name in names:
                destination = target / name
                if entry.is_dir():
                    destination.mkdir(parents=True, exist_ok=True)
                    continue
                if str(name) in sizes:
                    raise BundleError(f"refusing zip entry `{name}`: it is there twice")
                destination.parent.mkdir(parents=True, exist_ok=True)
                with source.open(entry) as incoming, destination.open("xb") as outgoing:
                    shutil.copyfileobj(incoming, outgoing, _CHUNK)
                sizes[str(name)] = destination.stat().st_size
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise BundleError(f"cannot unpack `{archive.name}`: {error}") from error
    (target / MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")


def is_complete(directory: Path) -> bool:
    """Whether every file of the manifest is there with its size."""
    try:
        sizes = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        return all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def date(directory: Path, before: Path | None, ahead_seconds: float) -> None:
    """Dates every file to now plus `ahead_seconds`; a second less if it is the same in the directory `before`."""
    when = time.time() + ahead_seconds
    for root, _, files in os.walk(directory):
        for file in (Path(root, name) for name in files):
            same = before is not None and _same(file, before / file.relative_to(directory))
            os.utime(file, (when - same, when - same))


def _same(file: Path, other: Path) -> bool:
    try:
        return file.stat().st_size == other.stat().st_size and file.read_bytes() == other.read_bytes()
    except OSError:
        return False

"""What the DAGs of a bundle are made of, as digests, so that two bundles show which DAGs they have in common.

A DAG file counts for its own DAGs only. All other files, and DAG files that another file imports, count for every DAG:
which of them a DAG uses cannot be told without running it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

# A statement that imports, up to the end of its line or of its parenthesis.
_IMPORT = re.compile(r"^[ \t]*(?:from|import)\b[^\n(]*(?:\([^)]*\))?", re.MULTILINE)
_WORD = re.compile(r"\w+")


def digests(dags: Path, dag_files: Iterable[str]) -> dict[str, str]:
    """For each DAG file, relative to `dags`: the digest of what its DAGs may be made of."""
    found = texts(dags)
    files = [file for file in dag_files if file in found]
    imported = importers(found)
    own = {file for file in files if imported.get(Path(file).stem, set()) <= {file}}
    common = _digest(
        f"{name} {_digest(text)}\n".encode() for name, text in sorted(found.items()) if name not in own
    )
    return {file: _digest([common.encode(), found[file] if file in own else b""]) for file in files}


def texts(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its place in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def importers(files: dict[str, bytes]) -> dict[str, set[str]]:
    """Every name that is imported, with the files that do so."""
    found: dict[str, set[str]] = {}
    for name, text in files.items():
        if name.endswith(".py"):
            statements = " ".join(_IMPORT.findall(text.decode(errors="replace")))
            for word in set(_WORD.findall(statements)):
                found.setdefault(word, set()).add(name)
    return found


def _digest(parts: bytes | Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in [parts] if isinstance(parts, bytes) else parts:
        digest.update(part)
    return digest.hexdigest()

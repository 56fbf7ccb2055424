"""Remembers what DAG files were parsed to, so that a file is parsed again only if something could give another result.

A result is believed for a DAG file as long as these are the same:

- the file itself;
- every other file of the bundle that is not a module of its own: all that is not Python, packages' `__init__.py`, and
  each module that any file imports. Which of them a DAG file uses cannot be told for sure, as a process imports a
  module only once, so they count for every DAG file;
- each module that was read in another way while any DAG file was parsed (`reads.py`), from then on; and once a DAG file
  has listed a folder of the bundle, the names of all files;
- what is installed, Python, this package, plugins, options and environment variables;
- the day (UTC), for DAGs that are made of the date and for what `reads.py` cannot see.

Nothing is remembered of a file that has a problem, that is slow, or that was parsed after something had been read from
outside, such as the network: it is parsed each time.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ductwork_airflow.release import contents

Result = dict[str, Any]

PACKAGE = Path(__file__).resolve().parent.parent
KEPT_SECONDS = 2 * 86400.0  # files of other days and settings, which nobody can use any more


def context(environment: dict[str, str], plugins: Path | None, *options: float) -> str:
    """A digest of all but the bundle that a result depends on."""
    home = environment["HOME"]
    settings = {name: text.replace(home, "~") for name, text in environment.items()}
    folders = {str(folder): contents.texts(folder) for folder in (PACKAGE, plugins) if folder}
    return _digest(
        [
            repr((sorted(settings.items()), options, sys.version, sys.prefix, _today())).encode(),
            *(f"{folder}/{name}\n".encode() + hashlib.sha256(text).digest()
              for folder, files in folders.items() for name, text in sorted(files.items())
              if "__pycache__" not in name),
            *_installed(),
        ]
    )  # fmt: skip


def _today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def _installed() -> Iterable[bytes]:
    """Every distribution with what changes when it is installed anew."""
    for place in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        with os.scandir(place) as entries:
            names = sorted(entry.path for entry in entries if entry.name.endswith((".dist-info", ".pth")))
        for name in names:
            record = os.path.join(name, "RECORD") if name.endswith("-info") else name  # noqa: PTH118
            with contextlib.suppress(OSError):
                state = os.stat(record)  # noqa: PTH116
                yield f"{name} {state.st_size} {state.st_mtime_ns}\n".encode()


class Memory:
    """The results of earlier runs in the same context, in one file that is replaced as a whole.

    Of two runs at the same time the later one's file stays; each is right by itself. A damaged file is no file.
    """

    def __init__(self, folder: Path, context: str, dags: Path) -> None:
        self._file = folder / f"{context}.json"
        texts = contents.texts(dags)
        self._imported = contents.importers(texts)
        self._digests = {name: hashlib.sha256(text).digest() for name, text in sorted(texts.items())}
        saved = self._load()
        self._shared: set[str] = set(saved.get("shared", ()))
        self._names = bool(saved.get("names", False))
        self.known = self._believed(saved.get("results", {}))
        listing = saved.get("listing", []) if saved.get("tree") == self._tree() else []
        # The list of DAG files that Airflow makes, of this very tree; without it Airflow has to be asked.
        self.listing: list[str] = listing
        self.airflow: str | None = saved.get("airflow")

    def knows_all(self) -> bool:
        """Whether nothing is left to parse."""
        return bool(self.listing) and all(file in self.known for file in self.listing)

    def keep(
        self,
        airflow: str | None,
        listing: list[str],
        parsed: Iterable[tuple[Result, dict[str, Any]]],
        slow: float,
    ) -> None:
        """Adds what was parsed, with what was read meanwhile, and drops what the tree no longer has."""
        files = set(listing)
        results = {file: result for file, result in self.known.items() if file in files}
        for result, read in parsed:
            self._shared |= set(read["files"]) - {result["file"]}
            self._names = self._names or bool(read["folders"])
            if read["outside"] is None and not result["problems"] and result["seconds"] <= slow:
                results[result["file"]] = result
        common = self._common()
        kept = {self._key(file, common): result for file, result in results.items()}
        document = {
            "airflow": airflow, "tree": self._tree(), "listing": listing, "shared": sorted(self._shared),
            "names": self._names, "results": kept,
        }  # fmt: skip
        self._save(document)

    def _believed(self, results: dict[str, Result]) -> dict[str, Result]:
        common = self._common()
        found = {file: results.get(self._key(file, common)) for file in self._digests}
        return {file: result for file, result in found.items() if result is not None}

    def _alone(self, file: str) -> bool:
        """Whether a file counts for nobody but itself."""
        path = Path(file)
        if path.suffix != ".py" or path.stem.startswith("__") or file in self._shared:
            return False
        return self._imported.get(path.stem, set()) <= {file}

    def _common(self) -> str:
        """A digest of what counts for every file."""
        parts = [name.encode() + b"\n" for name in self._digests] if self._names else []
        for name, digest in self._digests.items():
            if not self._alone(name):
                parts += [name.encode() + b"\n", digest]
        return _digest(parts)

    def _key(self, file: str, common: str) -> str:
        own = self._digests.get(file, b"")
        return _digest([file.encode() + b"\n", own, b"\n" + common.encode()])

    def _tree(self) -> str:
        return _digest(name.encode() + b"\n" + digest for name, digest in self._digests.items())

    def _load(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            saved = json.loads(self._file.read_bytes())
            if isinstance(saved, dict):
                return saved
        return {}

    def _save(self, document: dict[str, Any]) -> None:
        """It is only a memory: what cannot be written is parsed next time."""
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            for old in self._file.parent.glob("*.json"):
                if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                    old.unlink()
            descriptor, name = tempfile.mkstemp(dir=self._file.parent, suffix=".new")
            with os.fdopen(descriptor, "w") as file:
                json.dump(document, file)
            Path(name).replace(self._file)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()

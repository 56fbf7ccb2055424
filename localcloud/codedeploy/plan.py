"""What Install does: from the appspec and a look at source and destination to a list of instructions. Reads
only.

Follows the agent's installer: destination conflicts are found while planning, so nothing new has been written
then.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from localcloud.codedeploy.appspec import AppSpec, Permission


class InstallError(ValueError):
    """The files of the revision cannot be installed."""


@dataclass
class Plan:
    """Directories to make, files to copy, permissions to set; paths are real paths on this machine."""

    directories: list[str] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    permissions: list[tuple[str, Permission]] = field(default_factory=list)

    def as_json(self) -> dict:
        """The content of `<group>-install.json`."""
        return {
            "instructions": [{"type": "mkdir", "directory": d} for d in self.directories]
            + [{"type": "copy", "source": s, "destination": d} for s, d in self.copies]
            + [{"type": "permissions", "file": p, **asdict(rule)} for p, rule in self.permissions]
        }


class Planner:
    """One use per Install."""

    def __init__(self, archive: Path, host_root: Path, behavior: str) -> None:
        self._archive = archive
        self._root = host_root
        self._behavior = behavior
        self._plan = Plan()
        self._sources: dict[str, str] = {}
        self._made: set[str] = set()
        self._permitted: set[str] = set()

    def plan(self, spec: AppSpec) -> Plan:
        for pair in spec.files:
            source = self._archive / pair.source.strip("/")
            target = self._on_host(pair.destination)
            if not os.path.lexists(source):
                raise InstallError(
                    f"The deployment failed because the source {pair.source} of the AppSpec file is not "
                    "in the revision."
                )
            self._missing_ancestors(target)
            if source.is_dir():
                self._directory(source, target)
            else:
                self._directory_itself(target)
                self._file(source, target / source.name)
        for rule in spec.permissions:
            self._permission(rule)
        return self._plan

    def _on_host(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _missing_ancestors(self, target: Path) -> None:
        missing = []
        for parent in target.parents:
            if parent.is_dir() or parent == self._root:
                break
            missing.append(parent)
        for parent in reversed(missing):
            self._directory_itself(parent)

    def _directory_itself(self, target: Path) -> None:
        name = str(target)
        if name in self._sources:
            raise InstallError(f"The AppSpec file makes {name} both a file and a directory.")
        if name not in self._made and not target.is_dir():
            self._made.add(name)
            self._plan.directories.append(name)

    def _directory(self, source: Path, target: Path) -> None:
        self._directory_itself(target)
        for entry in sorted(os.scandir(source), key=lambda e: e.name):
            if entry.is_dir():  # behind a link, too
                self._directory(Path(entry.path), target / entry.name)
            else:
                self._file(Path(entry.path), target / entry.name)

    def _file(self, source: Path, target: Path) -> None:
        name = str(target)
        if name in self._sources:
            raise InstallError(
                "The deployment failed because the application specification file specifies two source "
                "files named "
                f"{self._sources[name]} and {source} for the same destination {name}."
            )
        if name in self._made:
            raise InstallError(f"The AppSpec file makes {name} both a file and a directory.")
        self._sources[name] = str(source)
        if target.exists():
            if self._behavior == "DISALLOW":
                raise InstallError(
                    "The deployment failed because a specified file already exists at this location: "
                    f"{self._shown(name)}"
                )
            if self._behavior == "RETAIN":
                return
        self._plan.copies.append((str(source), name))

    def _shown(self, name: str) -> str:
        """A path as the instance sees it."""
        return "/" + os.path.relpath(name, self._root)

    def _permission(self, rule: Permission) -> None:
        """An object is a file that is copied, or a folder: then it is what is made below it, not the folder."""
        copied = [target for _, target in self._plan.copies]
        if str(self._on_host(rule.object)) in copied:
            if "file" in rule.types:
                self._check_file_rule(rule)
                self._permit(str(self._on_host(rule.object)), rule)
            return
        made = self._plan.directories
        for name, kind in [*((n, "file") for n in copied), *((n, "directory") for n in made)]:
            if kind in rule.types and rule.applies(self._shown(name)):
                self._permit(name, rule)

    def _check_file_rule(self, rule: Permission) -> None:
        if rule.pattern != "**" or rule.exceptions:
            raise InstallError(
                "The deployment failed because the application specification file includes an object "
                f"({rule.object}) with an invalid pattern ({rule.pattern}), such as a pattern for a file applied "
                "to a directory."
            )

    def _permit(self, name: str, rule: Permission) -> None:
        if name in self._permitted:
            raise InstallError(
                f"The deployment failed because the permissions setting for ({self._shown(name)}) is specified "
                "more than once in the application specification file."
            )
        self._permitted.add(name)
        self._plan.permissions.append((name, rule))

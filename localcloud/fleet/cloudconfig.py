"""The part of cloud-init that a local instance needs: `write_files` of a #cloud-config, below its root.

Never installs packages and never runs commands; what is skipped is logged on the instance.
"""

from __future__ import annotations

import base64
import binascii
import gzip
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

DEFAULT_MODE = 0o644


class BadUserData(ValueError):
    """User data that cloud-init would not understand either."""


@dataclass(frozen=True)
class File:
    path: PurePosixPath
    content: bytes
    mode: int
    append: bool


@dataclass(frozen=True)
class CloudConfig:
    files: tuple[File, ...]
    skipped: tuple[str, ...]


def decode(user_data: str) -> str:
    """Launch templates hold user data in base64."""
    try:
        raw = base64.b64decode(user_data, validate=True)
    except (binascii.Error, ValueError):
        raw = user_data.encode()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    return raw.decode("utf-8", "replace")


def parse(user_data: str) -> CloudConfig:
    """Understand decoded user data; anything but a #cloud-config is skipped as a whole."""
    if not user_data.strip():
        return CloudConfig((), ())
    if not user_data.startswith("#cloud-config"):
        return CloudConfig((), (f"user data beginning with {user_data.splitlines()[0][:40]!r}",))
    try:
        document = yaml.safe_load(user_data) or {}
    except yaml.YAMLError as error:
        raise BadUserData(f"user data is not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise BadUserData("user data is not a mapping")
    files = tuple(_file(entry) for entry in document.pop("write_files", None) or [])
    return CloudConfig(files, tuple(f"{key} ({_count(value)})" for key, value in document.items()))


def _count(value: object) -> str:
    return f"{len(value)} entries" if isinstance(value, (list, dict)) else "1 value"


def _file(entry: object) -> File:
    if not isinstance(entry, dict) or not entry.get("path"):
        raise BadUserData("an entry of write_files has no path")
    path = PurePosixPath(str(entry["path"]))
    if not path.is_absolute() or ".." in path.parts:
        raise BadUserData(f"write_files: `{path}` is not an absolute path without `..`")
    content = entry.get("content", "")
    raw = content if isinstance(content, bytes) else str(content if content is not None else "").encode()
    encoding = str(entry.get("encoding", "text/plain")).lower()
    try:
        if encoding in ("b64", "base64", "gz+b64", "gz+base64", "gzip+b64", "gzip+base64"):
            raw = base64.b64decode(raw)
        if encoding.startswith(("gz", "gzip")):
            raw = gzip.decompress(raw)
    except (binascii.Error, OSError) as error:
        raise BadUserData(f"write_files: the content of `{path}` is not {encoding}: {error}") from None
    permissions = entry.get("permissions")
    mode = DEFAULT_MODE
    if permissions is not None:
        try:
            mode = permissions if isinstance(permissions, int) else int(str(permissions), 8)
        except ValueError:
            raise BadUserData(f"write_files: `{permissions}` of `{path}` is not a file mode") from None
    return File(path, raw, mode & 0o7777, bool(entry.get("append", False)))


def apply(config: CloudConfig, root: Path) -> None:
    """Write the files below the instance's root, with a log of what was done and what was not."""
    log = root / "var" / "log" / "cloud-init.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as lines:
        for file in config.files:
            target = root.joinpath(*file.path.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab" if file.append else "wb") as output:
                output.write(file.content)
            target.chmod(file.mode)
            lines.write(f"wrote {file.path} ({len(file.content)} bytes, {file.mode:04o})\n")
        for what in config.skipped:
            lines.write(f"skipped {what}: not done on a local instance\n")

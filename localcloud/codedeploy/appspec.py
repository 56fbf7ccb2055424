"""Reads appspec.yml as the CodeDeploy agent does (EC2/on-premises). Pure: never touches a file.

Rules and their strictness follow the agent's application specification parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import yaml

DEFAULT_TIMEOUT = 3600
MAX_EVENT_SECONDS = 3600  # summed over the scripts of one lifecycle event
FILE_NAME = "appspec.yml"
SCRIPTABLE = (
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
)
FILE_EXISTS_BEHAVIORS = ("DISALLOW", "OVERWRITE", "RETAIN")


class AppSpecError(ValueError):
    """The file cannot be used; the text says why."""


@dataclass(frozen=True)
class Script:
    location: str
    timeout: int = DEFAULT_TIMEOUT
    runas: str | None = None


@dataclass(frozen=True)
class FilePair:
    source: str
    destination: str


@dataclass(frozen=True)
class Permission:
    object: str
    pattern: str = "**"
    exceptions: tuple[str, ...] = ()
    types: tuple[str, ...] = ("file", "directory")
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    acls: tuple[str, ...] = ()
    context: bool = False

    def applies(self, path: str) -> bool:
        """Whether what lies below the object (as the appspec names it) gets this permission."""
        base = self.object.rstrip("/") + "/"
        if not path.startswith(base):
            return False
        inside = path[len(base) :]
        if any(_simple(inside, exception) for exception in self.exceptions):
            return False
        return self.pattern == "**" or _simple(inside, self.pattern)


def _simple(name: str, pattern: str) -> bool:
    """The agent's simple glob: `*` within one path element; no other character is special."""
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.fullmatch("[^/]*".join(parts), name, re.DOTALL) is not None


@dataclass(frozen=True)
class AppSpec:
    files: tuple[FilePair, ...] = ()
    permissions: tuple[Permission, ...] = ()
    hooks: dict[str, tuple[Script, ...]] = field(default_factory=dict)
    file_exists_behavior: str | None = None


def parse(text: str) -> AppSpec:
    """Understand the text, or say in one sentence what is wrong."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AppSpecError(f"The AppSpec file is not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise AppSpecError("The deployment failed because the application specification file was empty.")
    _check_version(document.get("version"))
    if document.get("os") != "linux":
        raise AppSpecError(
            "The deployment failed because the application specification file specifies an unsupported "
            f'operating system ({document.get("os")}). Specify either "linux" or "windows" in the os section '
            "of the AppSpec file, and then try again."
        )
    behavior = document.get("file_exists_behavior")
    if behavior is not None and str(behavior).upper() not in FILE_EXISTS_BEHAVIORS:
        raise AppSpecError(f"The AppSpec file specifies an unknown file_exists_behavior: {behavior}.")
    return AppSpec(
        files=_files(document.get("files")),
        permissions=_permissions(document.get("permissions")),
        hooks=_hooks(document.get("hooks")),
        file_exists_behavior=str(behavior).upper() if behavior else None,
    )


def _check_version(version: object) -> None:
    """The number 0.0; a text that looks like it is another version."""
    if isinstance(version, bool) or version != 0.0:
        raise AppSpecError(
            f"The deployment failed because an invalid version value ({version}) was entered in the "
            'application specification file. Make sure your AppSpec file specifies "0.0" as the version, and '
            "then try again."
        )


def _entries(value: object, section: str) -> list[dict]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise AppSpecError(f"The {section} section of the AppSpec file is not a list of mappings.")
    return value


def _files(value: object) -> tuple[FilePair, ...]:
    pairs = []
    for entry in _entries(value, "files"):
        source, destination = entry.get("source"), entry.get("destination")
        if not source or not destination:
            missing = "source" if not source else "destination"
            raise AppSpecError(
                "The deployment failed because the application specification file specifies a file without a "
                f"{missing}. Update the files section of the AppSpec file."
            )
        if ".." in PurePosixPath(str(source)).parts or ".." in PurePosixPath(str(destination)).parts:
            raise AppSpecError(
                f"The files section of the AppSpec file leaves its place: {source} -> {destination}."
            )
        if not str(destination).startswith("/"):
            raise AppSpecError(f"The destination {destination} in the AppSpec file is not an absolute path.")
        pairs.append(FilePair(str(source), str(destination)))
    return tuple(pairs)


def _hooks(value: object) -> dict[str, tuple[Script, ...]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise AppSpecError("The hooks section of the AppSpec file is not a mapping.")
    hooks: dict[str, tuple[Script, ...]] = {}
    for event, scripts in value.items():
        if event not in SCRIPTABLE:
            raise AppSpecError(f"The AppSpec file specifies an unknown lifecycle event: {event}.")
        if not scripts:
            continue  # an empty event is as good as none
        hooks[event] = tuple(_script(event, entry) for entry in _entries(scripts, f"hooks.{event}"))
        total = sum(script.timeout for script in hooks[event])
        if total > MAX_EVENT_SECONDS and len(hooks[event]) > 1 and _explicit(scripts):
            raise AppSpecError(
                f"The timeouts of {event} add up to {total} seconds; at most {MAX_EVENT_SECONDS} are allowed."
            )
    return hooks


def _explicit(scripts: list[dict]) -> bool:
    """A default timeout is a bound, not a request; only written ones are added up."""
    return all("timeout" in script for script in scripts)


def _script(event: str, entry: dict) -> Script:
    location = entry.get("location")
    if not location or not str(location).strip():
        raise AppSpecError(
            "The deployment failed because the application specification file specifies a script with no "
            "location "
            f"value. Specify the location in the hooks section ({event}) of the AppSpec file."
        )
    raw = entry.get("timeout", DEFAULT_TIMEOUT)
    try:
        timeout = int(raw)
    except (TypeError, ValueError):
        timeout = 0
    if timeout <= 0 or timeout > MAX_EVENT_SECONDS or isinstance(raw, bool):
        raise AppSpecError(
            f"The deployment failed because an invalid timeout value ({raw}) was provided for a script in "
            "the "
            f"application specification file ({event}: {location})."
        )
    runas = entry.get("runas")
    return Script(str(location), timeout, str(runas) if runas else None)


def _permissions(value: object) -> tuple[Permission, ...]:
    return tuple(_permission(entry) for entry in _entries(value, "permissions"))


def _permission(entry: dict) -> Permission:
    target = entry.get("object")
    if not target:
        raise AppSpecError("The permissions section of the AppSpec file has an entry without an object.")
    kinds = tuple(str(kind) for kind in entry.get("type") or ("file", "directory"))
    for kind in kinds:
        if kind not in ("file", "directory"):
            raise AppSpecError(f"The permissions section of the AppSpec file has an unknown type: {kind}.")
    return Permission(
        object=str(target),
        pattern=str(entry.get("pattern", "**")),
        exceptions=tuple(str(name) for name in entry.get("except") or ()),
        types=kinds,
        owner=_text(entry.get("owner")),
        group=_text(entry.get("group")),
        mode=_mode(entry.get("mode")),
        acls=tuple(str(acl) for acl in entry.get("acls") or ()),
        context=bool(entry.get("context")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _mode(value: object) -> int | None:
    """Digits are octal whether quoted or not; an unquoted leading zero is YAML's own octal and becomes
    nonsense, as it does with the agent.
    """
    if value is None:
        return None
    text = str(value)
    if not 1 <= len(text) <= 4 or any(digit not in "01234567" for digit in text):
        raise AppSpecError(
            f"The permissions section of the AppSpec file has an invalid mode ({value}); quote it."
        )
    return int(text, 8)

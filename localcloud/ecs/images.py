"""Images of the local ECR as folders of this machine: `DIR/images/<digest>/rootfs`, made once per digest.

Programs of an image run without a change of root, so what names a place of the image by its whole path is adapted:
links, the Python of virtual environments and the first lines of their commands. System folders are this machine's.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from ministack.core.responses import get_region, request_scope
from ministack.services import ecr

from localcloud.base.files import remove_tree, write_atomic
from localcloud.ecs import layers
from localcloud.ecs.errors import StartError

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
ACCOUNT_REGISTRY = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
)
VERSION = re.compile(r"^version(?:_info)? *= *(\d+\.\d+)", re.MULTILINE)
HOME = re.compile(r"^home *=.*$", re.MULTILINE)
MOST_OF_A_LINE = 200  # bytes of a first line that is looked at
ASK = "import sys; print(sys._base_executable or sys.executable); print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class Image:
    """An unpacked image."""

    digest: str
    rootfs: Path
    config: dict  # the `config` of its configuration: Env, Entrypoint, Cmd, WorkingDir
    writable: tuple[str, ...]  # folders that belong to its user
    python: str  # this machine's, of the version of the image's; empty if it has none
    machine: str = ""  # whose programs it holds, in the words of images; empty if it does not say
    name: str = ""  # of one that Docker runs, whose root is its own


class Images:
    def __init__(self, folder: Path, python: str) -> None:
        self._folder = folder
        self.public = folder / "public"  # of what stands in for images of others
        self._python = python
        self._lock = threading.Lock()  # one at a time: what is shared is made once

    def pull(self, reference: str, machine: str) -> Image:
        """The image of a reference, by digest or tag; of several platforms, that of the machine."""
        account, region, repository, version = _parts(reference)
        with self._lock, request_scope(account, region):
            digest, manifest = _manifest(reference, repository, version, machine)
            place = self._folder / digest.removeprefix("sha256:")
            if not (place / "image.json").exists():
                self._make(reference, repository, manifest, place)
        made = json.loads((place / "image.json").read_text())
        return Image(
            digest, place / "rootfs", made["config"], tuple(made["writable"]), made["python"], made.get("machine", "")
        )  # fmt: skip

    def _make(self, reference: str, repository: str, manifest: dict, place: Path) -> None:
        fresh = place.with_name(f"{place.name}.new")
        remove_tree(fresh)
        rootfs = fresh / "rootfs"
        rootfs.mkdir(parents=True)
        try:
            document = json.loads(_blob(reference, repository, manifest["config"]["digest"]))
            config = document.get("config") or {}
            owners: dict[str, int] = {}
            venvs: list[Path] = []
            for layer in manifest["layers"]:
                unpacked = self._layer(reference, repository, layer["digest"])
                owners |= json.loads(unpacked.with_suffix(".json").read_text())
                venvs += [file for file in layers.lay_over(unpacked, rootfs) if file.name == "pyvenv.cfg"]
            _relative_links(rootfs)
            pythons = [self._adapt(venv, rootfs, place / "rootfs") for venv in venvs if venv.exists()]
        except (layers.LayerError, OSError, ValueError, KeyError) as error:
            raise StartError(f"CannotPullContainerError: {reference} cannot be unpacked: {error}") from error
        made = {
            "config": config,
            "writable": _own(owners, config),
            "python": next(iter(pythons), ""),
            "machine": document.get("architecture", ""),
        }
        write_atomic(fresh / "image.json", json.dumps(made))
        remove_tree(place)
        fresh.rename(place)

    def _layer(self, reference: str, repository: str, digest: str) -> Path:
        """The folder of a layer, and beside it whom its folders belong to."""
        place = self._folder / "layers" / digest.removeprefix("sha256:")
        if not place.with_suffix(".json").exists():
            remove_tree(place)
            place.mkdir(parents=True)
            owners = layers.unpack(_blob(reference, repository, digest), place)
            write_atomic(place.with_suffix(".json"), json.dumps(owners))
        return place

    def _adapt(self, config: Path, rootfs: Path, final: Path) -> str:
        """Have a virtual environment use a Python of this machine; answers which."""
        text = config.read_text()
        found = VERSION.search(text)
        python = self._python_of(found[1] if found else "")
        # Written anew, never changed: other images share the file by a hard link.
        write_atomic(config, HOME.sub(f"home = {Path(python).parent}", text).encode(), 0o644)
        inside = "/" + config.parent.relative_to(rootfs).as_posix()
        commands = config.parent / "bin"
        for entry in sorted(commands.iterdir()) if commands.is_dir() else []:
            if entry.is_symlink():
                if re.fullmatch(r"python[\d.]*", entry.name) and not (commands / entry.readlink()).exists():
                    entry.unlink()
                    entry.symlink_to(python)
            elif entry.is_file():
                _adapt_command(entry, inside, f"{final}{inside}")
        return python

    def _python_of(self, version: str) -> str:
        candidates = [self._python, shutil.which(f"python{version}") or "", shutil.which("python3") or ""]
        for candidate in filter(None, candidates):
            try:
                done = subprocess.run(
                    [candidate, "-I", "-c", ASK], capture_output=True, text=True, timeout=30, check=True
                )
            except (OSError, subprocess.SubprocessError):
                continue
            executable, found = done.stdout.split("\n")[:2]
            if found == version:
                return executable
        raise layers.LayerError(
            f"it needs Python {version}, which this machine does not have: install it, or build the image with "
            "the Python that is here"
        )


def described(reference: str, machine: str) -> tuple[str, str, dict]:
    """Repository, digest and configuration of an image, which stays where it is."""
    account, region, repository, version = _parts(reference)
    with request_scope(account, region):
        digest, manifest = _manifest(reference, repository, version, machine)
        document = json.loads(_blob(reference, repository, manifest["config"]["digest"]))
    return repository, digest, document.get("config") or {}


def _parts(reference: str) -> tuple[str, str, str, str]:
    """Account, region, repository, and digest or tag of a reference."""
    name, _, digest = reference.partition("@")
    host, slash, path = name.partition("/")
    registry = ACCOUNT_REGISTRY.fullmatch(host)
    is_local = host.split(":")[0] in ("127.0.0.1", "localhost")
    if not slash or not (registry or is_local):
        raise StartError(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
            f"{reference}: the local cloud has the images of its own ECR only"
        )
    repository, _, tag = path.partition(":")
    account = registry["account"] if registry else "000000000000"
    return account, registry["region"] if registry else get_region(), repository, digest or tag or "latest"


def _manifest(reference: str, repository: str, version: str, machine: str) -> tuple[str, dict]:
    """Digest and content of the manifest for a machine."""
    digest, raw, kind = ecr._resolve_manifest(repository, version)
    if repository not in ecr._repositories or raw is None:
        raise StartError(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
            f"{reference}: {reference}: not found"
        )
    manifest = json.loads(raw)
    if (manifest.get("mediaType") or kind) not in INDEXES:
        return digest, manifest
    for entry in manifest["manifests"]:
        if (entry.get("platform") or {}).get("architecture") == machine:
            return _manifest(reference, repository, entry["digest"], machine)
    raise StartError(
        f"CannotPullContainerError: {reference}: image Manifest does not contain descriptor matching platform "
        f"'linux/{machine}'"
    )


def this_machine() -> str:
    """This machine's architecture in the words of images."""
    return MACHINES.get(platform.machine(), platform.machine())


def _blob(reference: str, repository: str, digest: str) -> bytes:
    found = (ecr._layer_blobs.get(repository) or {}).get(digest)
    if found is None:
        raise StartError(f"CannotPullContainerError: {reference}: {digest}: not found")
    return found


def _relative_links(rootfs: Path) -> None:
    """Links that begin at the root of the image, from where they are."""
    for above, folders, files in os.walk(rootfs):
        for name in (*folders, *files):
            link = Path(above) / name
            if link.is_symlink() and link.readlink().is_absolute():
                target = rootfs / str(link.readlink()).lstrip("/")
                link.unlink()
                link.symlink_to(os.path.relpath(target, above))


def _own(owners: dict[str, int], config: dict) -> list[str]:
    """The topmost folders that belong to the image's user, who is not root."""
    user = str(config.get("User") or "").partition(":")[0]
    mine = sorted(path for path, uid in owners.items() if str(uid) == user)
    return [path for path in mine if not any(path.startswith(f"{other}/") for other in mine)]


def _adapt_command(file: Path, inside: str, outside: str) -> None:
    """A command of the environment starts with the environment's Python where it is here.

    By way of a shell, since a first line can be neither long nor hold a space.
    """
    with file.open("rb") as opened:
        first = opened.readline(MOST_OF_A_LINE)
        if not first.startswith(f"#!{inside}/bin/python".encode()):
            return
        rest = opened.read()
    python = shlex.quote(f"{outside}/bin/python")
    head = f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n"
    write_atomic(file, head.encode() + rest, 0o755)

"""Layers of images as folders: unpacks one, and lays several over each other with hard links. Never leaves its folder.

A layer is unpacked once, whatever images have it; it keeps its whiteouts as files (`.wh.NAME`, `.wh..wh..opq`).
"""

from __future__ import annotations

import io
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from localcloud.base.files import remove_tree

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
MOST_LINKS = 40  # as the kernel follows


class LayerError(ValueError):
    """A layer that cannot be unpacked."""


def inside(root: Path, path: str, depth: int = 0) -> Path:
    """Where a path of the image really is: links are followed as if `root` were `/`."""
    at = root
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", ".", "")]
    for number, part in enumerate(parts):
        if part == "..":
            at = at if at == root else at.parent
            continue
        ahead = at / part
        if ahead.is_symlink():
            if depth > MOST_LINKS:
                raise LayerError(f"too many links: {path}")
            here = "/" + at.relative_to(root).as_posix()
            target = posixpath.join(here, str(ahead.readlink()), *parts[number + 1 :])
            return inside(root, target, depth + 1)
        at = ahead
    return at


def _unpacked(blob: bytes) -> tarfile.TarFile:
    if blob.startswith(ZSTD):
        raise LayerError(
            "layers compressed with zstd are not supported by the local cloud; push them with gzip"
        )
    return tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz" if blob.startswith(GZIP) else "r:")


def unpack(blob: bytes, folder: Path) -> dict[str, int]:
    """Unpack a layer; answers the folders in it that do not belong to root, and to whom."""
    owners: dict[str, int] = {}
    above = Above(folder)
    with _unpacked(blob) as archive:
        for member in archive:
            target = above.target(member.name)
            if target is None:
                continue
            _write(archive, member, target, above)
            if member.isdir() and member.uid:
                owners["/" + target.relative_to(folder).as_posix()] = member.uid
    return owners


class Above:
    """The folders that members are in: where they really are, remembered until something may have changed that."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Path] = {}

    def target(self, name: str) -> Path | None:
        """Where a member goes. Its own last part is not followed, the folders above are."""
        path = posixpath.normpath(posixpath.join("/", name)).replace("//", "/")
        if ".." in name.split("/"):
            raise LayerError(f"a member of the layer leaves the image: {name}")
        parent, last = posixpath.split(path)
        if not last:
            return None
        if parent not in self._known:
            self._known[parent] = inside(self._folder, parent)
            self._known[parent].mkdir(parents=True, exist_ok=True)
        return self._known[parent] / last

    def forget(self) -> None:
        """After a link was made, or something went."""
        self._known.clear()


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, above: Above) -> None:
    found = _mode_of(target)
    if found is not None and not (member.isdir() and stat.S_ISDIR(found)):
        remove_tree(target)
        above.forget()
    if member.isdir():
        target.mkdir(exist_ok=True)
        target.chmod(stat.S_IMODE(member.mode) & 0o777 | stat.S_IRWXU)
    elif member.issym():
        target.symlink_to(member.linkname)
        above.forget()
    elif member.islnk():
        source = above.target(member.linkname)
        if source is None:
            raise LayerError(f"a member of the layer is a link to its root: {member.name}")
        os.link(source, target, follow_symlinks=False)
    elif member.isreg():
        content = archive.extractfile(member)
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
        target.chmod(stat.S_IMODE(member.mode) & 0o777 | stat.S_IRUSR)


def _mode_of(path: Path) -> int | None:
    """What is there, be it a link that leads nowhere; None if there is nothing."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return None


def lay_over(layer: Path, root: Path) -> Iterator[Path]:
    """Put a layer over what is in `root`; yields the files it adds."""
    for above, folders, files in os.walk(layer):
        here = Path(above)
        at = inside(root, "/" + here.relative_to(layer).as_posix())
        at.mkdir(parents=True, exist_ok=True)
        _whiteouts(files, at)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links]
        for name in folders:
            _make_way_for_folder(at / name)
        for name in (*files, *links):
            if not name.startswith(WHITEOUT):
                _link(here / name, at / name)
                yield at / name


def _whiteouts(files: list[str], at: Path) -> None:
    if OPAQUE in files:
        for entry in list(at.iterdir()):
            remove_tree(entry)
    for name in files:
        if name.startswith(WHITEOUT) and name != OPAQUE:
            remove_tree(at / name.removeprefix(WHITEOUT))


def _make_way_for_folder(target: Path) -> None:
    """A file gives way to a folder; a link to one does not, as other layers put files behind it."""
    if os.path.lexists(target) and not target.is_dir() and not target.is_symlink():
        target.unlink()


def _link(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        remove_tree(target)
    os.link(source, target, follow_symlinks=False)

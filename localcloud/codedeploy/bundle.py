"""A revision on an instance: where it lies, how it gets there, and how long it stays.

The layout below /opt/codedeploy-agent/deployment-root is the agent's. Never deletes the last successful
revision.
"""

from __future__ import annotations

import os
import stat
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from localcloud.base.files import remove_tree, write_atomic
from localcloud.codedeploy.appspec import FILE_NAME, AppSpec, AppSpecError, parse

MAX_REVISIONS = 5


class BundleError(ValueError):
    """The revision cannot be fetched or unpacked."""


@dataclass(frozen=True)
class Layout:
    """Paths of one deployment group on one instance."""

    host_root: Path
    group_id: str

    @property
    def base(self) -> Path:
        return self.host_root / "opt" / "codedeploy-agent" / "deployment-root"

    @property
    def group(self) -> Path:
        return self.base / self.group_id

    def deployment(self, deployment_id: str) -> Path:
        return self.group / deployment_id

    def archive(self, deployment_id: str) -> Path:
        return self.deployment(deployment_id) / "deployment-archive"

    def log(self, deployment_id: str) -> Path:
        return self.deployment(deployment_id) / "logs" / "scripts.log"

    def _instruction(self, suffix: str) -> Path:
        return self.base / "deployment-instructions" / f"{self.group_id}{suffix}"

    @property
    def install_plan(self) -> Path:
        return self._instruction("-install.json")

    @property
    def cleanup(self) -> Path:
        return self._instruction("-cleanup")

    def pointer(self, which: str) -> Path:
        return self._instruction(f"_{which}_install")

    def read_pointer(self, which: str) -> Path | None:
        """The deployment folder of the `last_successful` or `most_recent` install."""
        try:
            return Path(self.pointer(which).read_text().strip())
        except FileNotFoundError:
            return None

    def write_pointer(self, which: str, deployment_id: str) -> None:
        pointer = self.pointer(which)
        pointer.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(pointer, str(self.deployment(deployment_id)), mode=0o644)


def prune(layout: Layout, keep: int = MAX_REVISIONS, current: str = "") -> None:
    """Make room for one more: the oldest go first, never the last successful one."""
    if not layout.group.is_dir():
        return
    good = layout.read_pointer("last_successful")
    archives = sorted(
        (d for d in layout.group.iterdir() if (d / "deployment-archive").is_dir() and d.name != current),
        key=lambda d: (d / "deployment-archive").stat().st_mtime,
    )
    excess = len(archives) - keep + 1
    for folder in archives:
        if excess <= 0:
            return
        if good is None or folder.resolve() != good.resolve():
            remove_tree(folder)
            excess -= 1


@dataclass(frozen=True)
class Fetched:
    data: bytes
    etag: str
    version: str


def fetch(endpoint: str, account: str, region: str, location: dict) -> Fetched:
    """Get the revision's object from S3, as the account and region that own the deployment."""
    path = urllib.parse.quote(f"/{location['bucket']}/{location['key']}")
    query = f"?versionId={urllib.parse.quote(location['version'])}" if location.get("version") else ""
    request = urllib.request.Request(
        endpoint + path + query,
        headers={
            "Authorization": f"AWS4-HMAC-SHA256 Credential={account}/20260101/{region}/s3/aws4_request, "
            "SignedHeaders=host, Signature=0"
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            fetched = Fetched(
                answer.read(), answer.headers.get("ETag", ""), answer.headers.get("x-amz-version-id", "")
            )
    except urllib.error.HTTPError as error:
        raise BundleError(f"s3://{location['bucket']}/{location['key']}: HTTP {error.code}") from None
    except OSError as error:
        raise BundleError(f"s3://{location['bucket']}/{location['key']}: {error}") from None
    expected = str(location.get("eTag") or "").strip('"')
    if expected and fetched.etag.strip('"') != expected:
        raise BundleError(
            f"expected deployment bundle etag {expected} but was actually {fetched.etag.strip(chr(34))}"
        )
    return fetched


def store(
    layout: Layout, deployment_id: str, data: bytes, bundle_type: str, *, has_unzip: bool = True
) -> None:
    """Put the bundle down and unpack it afresh, on an instance with or without `unzip`."""
    folder = layout.deployment(deployment_id)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bundle.tar"  # the agent's name for it, whatever its type
    file.write_bytes(data)
    archive = layout.archive(deployment_id)
    remove_tree(archive)
    archive.mkdir()
    try:
        if bundle_type == "zip":
            _unzip(file, archive, modes=has_unzip)
        elif bundle_type in ("tar", "tgz"):
            _untar(file, archive, "r:gz" if bundle_type == "tgz" else "r:")
        else:
            raise BundleError(f"bundle type {bundle_type} cannot be unpacked")
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError) as error:
        raise BundleError(f"the bundle is not a whole {bundle_type} archive: {error}") from None
    _strip_leading_directory(archive)


def _inside(archive: Path, name: str) -> Path:
    """Where an entry goes; never outside the archive. (tarfile's own filters need Python 3.10.12 or
    3.11.4.)
    """
    target = Path(os.path.normpath(archive / name))
    if archive not in target.parents and target != archive:
        raise BundleError(f"the bundle holds a path outside itself: {name}")
    return target


def _untar(file: Path, archive: Path, mode: str) -> None:
    with tarfile.open(file, mode) as bundle:
        for entry in bundle:
            _inside(archive, entry.name)
            if entry.islnk():
                _inside(archive, entry.linkname)
            if not (entry.isfile() or entry.isdir() or entry.issym() or entry.islnk()):
                raise BundleError(f"the bundle holds a special file: {entry.name}")
            bundle.extract(entry, archive, set_attrs=True)


def _unzip(file: Path, archive: Path, modes: bool) -> None:
    """Like `unzip`: keeps permissions and links, stays inside. Without it the agent falls back to rubyzip, which
    keeps no execute bits and leaves links out.
    """
    with zipfile.ZipFile(file) as bundle:
        for entry in bundle.infolist():
            mode = entry.external_attr >> 16
            target = _inside(archive, entry.filename)
            if not stat.S_ISLNK(mode):
                bundle.extract(entry, archive)
                if modes and mode & 0o777 and not entry.is_dir():
                    target.chmod(mode & 0o777)
            elif modes:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(bundle.read(entry).decode())


def _strip_leading_directory(archive: Path) -> None:
    """The one folder that holds an appspec becomes the archive if there is none beside it; what lies beside the
    folder is dropped.
    """
    nested = list(archive.glob("*/appspec.*"))
    beside = list(archive.glob("appspec.*"))
    if not nested and not beside:
        raise BundleError("appspec file is not found.")
    if beside or len(nested) != 1:
        return
    aside = archive.with_name("deployment-archive-temp")
    remove_tree(aside)
    archive.rename(aside)
    (aside / nested[0].parent.name).rename(archive)
    remove_tree(aside)


def read_appspec(archive: Path) -> AppSpec:
    try:
        return parse((archive / FILE_NAME).read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        raise AppSpecError(
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at "
            f'revision-relative path "{FILE_NAME}".'
        ) from None

"""S3DigestBundle: DAG bundles whose name is their sha256, chosen by a pointer in S3, pinned by every DAG run.

Layout on a host, below [dag_processor] dag_bundle_storage_path:

    <name>/versions/<digest>/   pinned copies, used by tasks; Airflow's cleanup removes stale ones
    <name>/copies/<digest>/     what `current` has pointed at lately (bounded number)
    <name>/current              symbolic link to the copy of the pointer's digest
    <name>/tmp/                 downloads and half-made directories; rubbish while nobody holds the lock

Why `current` is a link with a stable path and not a path per digest: when the API asks for a file to be parsed,
the DAG processor notes the file's absolute path, refreshes the bundle and then parses the noted path (manager.py,
`_queue_requested_files_for_parsing` before `_refresh_dag_bundles`). With a path per digest it would parse the old code
and store it under the new version. The version is read back from the link, so it always names what the path shows.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
import tempfile
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.dag_processing.bundles import base
from airflow.dag_processing.bundles.base import BaseDagBundle, get_bundle_tracking_file

from ductwork_airflow.extensions.archive import BundleError, date, extract, is_complete, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

DIGEST = re.compile(r"[0-9a-f]{64}")
KEPT_COPIES = 3
# A file is parsed again at once when it is newer than its last parse. Files of a new copy are dated a little ahead, so
# that a parse that began on the old copy and ends after the switch is repeated and not trusted for 30 s. What differs
# from the copy before is the newest: of many files Airflow parses the newest first.
AHEAD_SECONDS = 3.0


class S3DigestBundle(BaseDagBundle):
    """A versioned DAG bundle in S3.

    :param bucket: artifact bucket; holds the pointer and `bundles/<sha256>.zip`
    :param pointer_key: key of the JSON document whose `bundle` is the current digest
    :param prefix: where the zips are
    """

    supports_versioning = True

    def __init__(self, *, bucket: str, pointer_key: str, prefix: str = "bundles/", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.version is not None and not DIGEST.fullmatch(self.version):
            raise ValueError(f"bundle version `{self.version}` is not a sha256 digest")
        self.bucket = bucket
        self.pointer_key = pointer_key
        self.prefix = prefix
        self._usage: int | None = None

    @cached_property
    def _s3(self) -> Any:
        import boto3
        from botocore.config import Config

        retries = {"mode": "standard", "total_max_attempts": 4}
        return boto3.client("s3", config=Config(connect_timeout=5, read_timeout=30, retries=retries))

    @property
    def _current(self) -> Path:
        return self.base_dir / "current"

    @property
    def path(self) -> Path:
        """The pinned copy, or the link to the current one."""
        return self.versions_dir / self.version if self.version else self._current

    def get_current_version(self) -> Any:
        """The pinned version, else the digest that `current` shows; None before the first release."""
        digest = self.version or self._shown()
        version = getattr(base, "BundleVersion", None)  # before Airflow 3.3 a version is a string
        return version(version=digest) if digest and version else digest

    def initialize(self) -> None:
        """Makes the files available. Pinned: needs S3 only when this host lacks the version."""
        if self.version:
            self._hold(self.version)
            self._provide(self.version, self.versions_dir / self.version)
        else:
            self.refresh()
        super().initialize()

    def refresh(self) -> None:
        """Follows the pointer. Without an answer from S3 the copy at hand stays; damaged objects raise BundleError."""
        if self.version:
            raise ValueError("a pinned bundle cannot be refreshed")
        try:
            wanted = self._pointer()
        except BundleError:
            raise
        except Exception as error:
            if not self._shown() or not is_complete(self._current):
                raise
            log.warning("pointer s3://%s/%s is out of reach, keeping %s: %s",
                        self.bucket, self.pointer_key, self._shown(), error)  # fmt: skip
            return
        if wanted is None:
            log.info("no pointer at s3://%s/%s yet", self.bucket, self.pointer_key)
            if not self._shown():
                self._show("none")
        elif wanted != self._shown() or not is_complete(self._current):
            self._show(wanted)

    def _pointer(self) -> str | None:
        """The digest that is to be current, or None when nothing has been released."""
        from botocore.exceptions import ClientError

        try:
            body = self._s3.get_object(Bucket=self.bucket, Key=self.pointer_key)["Body"].read()
        except ClientError as error:
            # A role that may not list the bucket is told AccessDenied if there is no such object; a pointer that is
            # there but cannot be read is then seen by the release tool, which waits for the DAGs to show its digest.
            missing = error.response["Error"]["Code"] in ("NoSuchKey", "404", "AccessDenied")
            if missing and not self._shown():
                return None
            raise
        try:
            digest = json.loads(body)["bundle"]
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"the pointer `{self.pointer_key}` cannot be read: {error!r}") from error
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise BundleError(
                f"the pointer `{self.pointer_key}` names `{digest}`, which is not a sha256 digest"
            )
        return digest

    def _shown(self) -> str | None:
        """The digest that `current` points at."""
        try:
            name = self._current.readlink().name
        except OSError:
            return None
        return name if DIGEST.fullmatch(name) else None

    def _show(self, name: str) -> None:
        """Makes `current` point at the copy `name`, atomically, and removes the oldest copies."""
        copies = self.base_dir / "copies"
        target = copies / name
        with self.lock():
            if name == "none":
                target.mkdir(parents=True, exist_ok=True)
            else:
                self._provide(name, target)
                before = self._shown()
                date(target, copies / before if before else None, AHEAD_SECONDS)
                os.utime(target)
            with self._scratch() as scratch:
                link = scratch / "link"
                link.symlink_to(Path("copies", name))
                link.replace(self._current)
            log.info("bundle %s is now %s", self.name, name)
            used = sorted(copies.iterdir(), key=lambda copy: copy.stat().st_mtime, reverse=True)
            for stale in [copy for copy in used if copy != target][KEPT_COPIES - 1 :]:
                shutil.rmtree(stale, ignore_errors=True)

    def _provide(self, digest: str, target: Path) -> None:
        """Downloads, verifies and unpacks a bundle unless `target` already is a whole copy."""
        if is_complete(target):
            return
        with self.lock():
            if is_complete(target):  # another process made it while this one waited
                return
            with self._scratch() as scratch:
                archive = scratch / f"{digest}.zip"
                self._download(f"{self.prefix}{digest}.zip", archive)
                if (found := sha256_of(archive)) != digest:
                    raise BundleError(
                        f"s3://{self.bucket}/{self.prefix}{digest}.zip has sha256 `{found}`: not used"
                    )
                extract(archive, scratch / "files")
                target.parent.mkdir(parents=True, exist_ok=True)
                if (
                    target.exists()
                ):  # a leftover of a killed process; moved away first, so that it is gone at once
                    target.rename(scratch / "leftover")
                (scratch / "files").rename(target)
            log.info("unpacked bundle %s to %s", digest, target)

    def _download(self, key: str, file: Path) -> None:
        """Streams an object to disk; parts that break are fetched again. Memory stays at a few parts."""
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(max_concurrency=4, max_io_queue=32)
        self._s3.download_file(self.bucket, key, str(file), Config=config)

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A private directory on the same file system. Only used under the lock: what lies there is from the dead."""
        parent = self.base_dir / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        for leftover in parent.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _hold(self, version: str) -> None:
        """Marks `version` as in use, from now until this process ends or drops the bundle.

        Airflow takes its lock only after initialize() and the parse; until then its cleanup may take the version for
        stale and remove it. So the tracking file is locked here, shared, and dated now. A cleanup that already holds
        it is waited for; it deletes the file, and then a new one is made.
        """
        file = get_bundle_tracking_file(self.name, version)
        file.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if os.fstat(handle).st_size == 0:
                    _date(
                        handle
                    )  # never leave it empty: Airflow logs an error for each tracking file without a date
                fcntl.flock(handle, fcntl.LOCK_SH)
                if os.fstat(handle).st_ino == file.stat().st_ino:
                    _date(handle)
                    self._drop()
                    self._usage, handle = handle, -1
                    return
            except FileNotFoundError:
                continue
            finally:
                if handle >= 0:
                    os.close(handle)

    def _drop(self) -> None:
        if self._usage is not None:
            os.close(self._usage)
            self._usage = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self._drop()


def _date(handle: int) -> None:
    """Writes the time of last use where Airflow reads it; of constant length, so that no reader sees a torn one."""
    text = datetime.now(timezone.utc).isoformat(timespec="microseconds").encode()
    os.pwrite(handle, text, 0)
    os.ftruncate(handle, len(text))

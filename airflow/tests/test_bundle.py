"""S3DigestBundle against a real S3 and Airflow's own cleanup: what is used is whole, verified and pinned."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import stat
import threading
import time
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import REGION
from hostkit import make_zip, publish

A = {"dag.py": "WORD = 'A'\n", "lib/__init__.py": "", "lib/deep/x.py": "X = 1\n"}
B = {"dag.py": "WORD = 'B, and longer'\n", "other.py": ""}
POINTER = "environments/test/current.json"


@pytest.fixture
def bucket(s3):
    """An empty bucket with a name of its own."""
    name = f"bundle-{time.time_ns()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """A host's own bundle storage."""
    from airflow.dag_processing.bundles import base

    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path))
    monkeypatch.setattr(base, "STALE_BUNDLE_TRACKING_FOLDER", tmp_path / "_tracking")
    return tmp_path


@pytest.fixture
def make(bucket, storage):
    """Makes bundle objects as Airflow does: one per use."""
    from ductwork_airflow.extensions.bundle import S3DigestBundle

    def made(version: str | None = None) -> S3DigestBundle:
        return S3DigestBundle(
            name="dags", bucket=bucket, pointer_key=POINTER, refresh_interval=5, version=version
        )

    return made


def put(s3, bucket: str, name: str, data: bytes) -> None:
    """An object and a pointer at it, right or wrong."""
    s3.put_object(Bucket=bucket, Key=f"bundles/{name}.zip", Body=data)
    s3.put_object(Bucket=bucket, Key=POINTER, Body=json.dumps({"bundle": name}))


def test_follows_the_pointer_and_keeps_pinned_copies_apart(s3, bucket, make, storage):
    first = publish(s3, A, bucket)
    current = make()
    current.initialize()
    assert current.get_current_version().version == first
    assert (current.path / "dag.py").read_text() == A["dag.py"]
    pinned = make(first)
    pinned.initialize()
    assert pinned.path == storage / "dags/versions" / first

    second = publish(s3, B, bucket)
    current.refresh()
    assert current.get_current_version().version == second
    assert (current.path / "dag.py").read_text() == B["dag.py"]
    assert not (current.path / "lib").exists(), "nothing of the version before shines through"
    assert (pinned.path / "dag.py").read_text() == A["dag.py"]
    assert pinned.get_current_version().version == first


def test_path_is_stable_and_files_of_a_switch_are_parsed_again(s3, bucket, make):
    publish(s3, A, bucket)
    bundle = make()
    bundle.initialize()
    before = bundle.path
    publish(s3, B, bucket)
    bundle.refresh()
    assert bundle.path == before, "the DAG processor parses paths that it noted before the refresh"
    assert (bundle.path / "dag.py").stat().st_mtime > time.time()
    publish(s3, A, bucket)
    os.utime(bundle.path / "dag.py", (1, 1))
    bundle.refresh()
    assert (bundle.path / "dag.py").stat().st_mtime > time.time(), (
        "also when a rollback finds its copy still there"
    )


def test_what_a_switch_changes_is_dated_later_than_the_rest(s3, bucket, make):
    publish(s3, A | {"new.py": "", "longer.py": "1"}, bucket)
    bundle = make()
    bundle.initialize()
    publish(s3, A | {"added.py": "", "new.py": "#", "longer.py": "2"}, bucket)
    bundle.refresh()
    dates = {file.name: file.stat().st_mtime for file in bundle.path.rglob("*.py")}
    newest = {name for name, date in dates.items() if date == max(dates.values())}
    assert newest == {"added.py", "new.py", "longer.py"}
    assert min(dates.values()) > time.time(), "and everything is parsed again"


def test_constructor_and_pinned_use_of_a_known_version_need_no_network(s3, bucket, make, monkeypatch):
    digest = publish(s3, A, bucket)
    make(digest).initialize()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    again = make(digest)
    again.initialize()
    assert (again.path / "dag.py").exists()
    make()


def test_without_a_pointer_there_is_an_empty_bundle_and_no_version(s3, bucket, make):
    bundle = make()
    bundle.initialize()
    assert bundle.get_current_version() is None
    assert list(bundle.path.iterdir()) == []
    digest = publish(s3, A, bucket)
    bundle.refresh()
    assert bundle.get_current_version().version == digest


def test_an_unreachable_pointer_keeps_the_version(s3, bucket, make, monkeypatch, caplog):
    digest = publish(s3, A, bucket)
    make().initialize()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    restarted = make()
    restarted.initialize()
    assert restarted.get_current_version().version == digest
    assert "out of reach" in caplog.text


def test_a_new_host_without_s3_says_so(make, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1"):
        make().initialize()


@pytest.mark.parametrize(
    "pointer",
    [
        b"",
        b"[]",
        b"{",
        b'{"bundle": null}',
        b'{"bundle": "../../etc"}',
        b'{"bundle": "AB"}',
        b'{"release": "x"}',
    ],
)
def test_a_damaged_pointer_is_refused_and_changes_nothing(s3, bucket, make, pointer):
    from ductwork_airflow.extensions.archive import BundleError

    digest = publish(s3, A, bucket)
    bundle = make()
    bundle.initialize()
    s3.put_object(Bucket=bucket, Key=POINTER, Body=pointer)
    with pytest.raises(BundleError, match="pointer"):
        bundle.refresh()
    assert bundle.get_current_version().version == digest


def test_a_corrupt_object_is_never_used(s3, bucket, make, storage):
    from ductwork_airflow.extensions.archive import BundleError

    digest = publish(s3, A, bucket)
    bundle = make()
    bundle.initialize()
    wrong, data = make_zip(B)
    put(s3, bucket, wrong, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match="sha256"):
        bundle.refresh()
    with pytest.raises(BundleError, match="sha256"):
        make(wrong).initialize()
    assert bundle.get_current_version().version == digest
    assert (bundle.path / "dag.py").read_text() == A["dag.py"]
    assert not (storage / "dags/versions" / wrong).exists()
    assert list((storage / "dags/tmp").iterdir()) == []


def hostile(name: str, mode: int = 0o644 | stat.S_IFREG, twice: bool = False) -> bytes:
    """A zip with one entry that must not be written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _ in range(1 + twice):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "data",
    [
        hostile("../../escape.py"),
        hostile("a/../../escape.py"),
        hostile("/tmp/escape.py"),
        hostile("..\\escape.py"),
        hostile("link.py", 0o777 | stat.S_IFLNK),
        hostile("pipe", 0o644 | stat.S_IFIFO),
        hostile("twice.py", twice=True),
        hostile(".ductwork-manifest"),
        b"not a zip at all",
    ],
)
def test_archives_that_reach_outside_or_are_no_archives_are_refused(s3, bucket, make, storage, data):
    import hashlib

    from ductwork_airflow.extensions.archive import BundleError

    name = hashlib.sha256(data).hexdigest()
    put(s3, bucket, name, data)
    with pytest.raises(BundleError):
        make().initialize()
    with pytest.raises(BundleError):
        make(name).initialize()
    left = [
        path for path in storage.rglob("*") if path.is_file() and path.parent.name not in ("dags", "_locks")
    ]
    assert left == []
    assert not Path("/tmp/escape.py").exists()


@pytest.mark.parametrize("version", ["../../x", "A" * 64, "", "a" * 63])
def test_a_version_that_is_no_digest_is_refused(make, version):
    with pytest.raises(ValueError, match="sha256"):
        make(version)


def test_a_half_made_or_half_removed_copy_is_made_anew(s3, bucket, make, storage):
    digest = publish(s3, A, bucket)
    target = storage / "dags/versions" / digest
    target.mkdir(parents=True)
    (target / "dag.py").write_text("half")
    leftover = storage / "dags/tmp/dead"
    leftover.mkdir(parents=True)
    make(digest).initialize()
    assert (target / "dag.py").read_text() == A["dag.py"]
    assert (target / "lib/deep/x.py").exists()
    assert not leftover.exists()
    (target / "lib/deep/x.py").unlink()  # a cleanup that was killed
    make(digest).initialize()
    assert (target / "lib/deep/x.py").exists()


def _initialize(name: str, bucket: str, version: str | None, storage: str, results) -> None:
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"] = storage
    from ductwork_airflow.extensions.bundle import S3DigestBundle

    bundle = S3DigestBundle(
        name=name, bucket=bucket, pointer_key=POINTER, refresh_interval=5, version=version
    )
    bundle.initialize()
    results.put((bundle.path / "dag.py").read_text())


def test_many_processes_at_once_share_one_download(s3, bucket, storage, make):
    big = A | {f"pkg/m{number}.py": f"N = {number}\n" for number in range(300)}
    digest = publish(s3, big, bucket)
    forks = multiprocessing.get_context("fork")
    results = forks.Queue()
    workers = [
        forks.Process(target=_initialize, args=("dags", bucket, version, str(storage), results))
        for version in [digest, None] * 4
    ]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=120) for _ in workers] == [A["dag.py"]] * len(workers)
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert list((storage / "dags/tmp").iterdir()) == []


def test_the_number_of_old_current_copies_is_bounded(s3, bucket, make, storage):
    bundle = make()
    for number in range(6):
        publish(s3, A | {"n.py": str(number)}, bucket)
        bundle.refresh()
    assert len(list((storage / "dags/copies").iterdir())) == 3
    assert (bundle.path / "n.py").read_text() == "5"


def age(storage: Path, version: str, hours: float = 24) -> None:
    """Lets a version look unused for long."""
    old = datetime.now(timezone.utc) - timedelta(hours=hours)
    (storage / "_tracking/dags" / version).write_text(old.isoformat())


@pytest.fixture
def clean(storage, monkeypatch):
    """Airflow's own cleanup of this bundle, keeping no minimum."""
    from airflow.dag_processing.bundles.base import BundleUsageTrackingManager

    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_MIN_VERSIONS", "0")
    return lambda: BundleUsageTrackingManager()._remove_stale_bundle_versions_for_bundle("dags")


def test_airflows_cleanup_removes_what_is_stale_and_nothing_in_use(s3, bucket, make, storage, clean):
    digest = publish(s3, A, bucket)
    bundle = make(digest)
    bundle.initialize()
    clean()
    assert bundle.path.exists(), "used just now"
    age(storage, digest)
    clean()
    assert bundle.path.exists(), "between initialize() and Airflow's own lock"
    bundle.__del__()
    clean()
    assert not bundle.path.exists(), "nobody uses it"
    make(digest).initialize()
    assert (storage / "dags/versions" / digest / "dag.py").exists()


def test_a_cleanup_that_has_begun_is_waited_for(s3, bucket, make, storage, clean, monkeypatch):
    """The race: cleanup judged the version stale, a task wants it, cleanup removes it."""
    from airflow.dag_processing.bundles import base

    digest = publish(s3, A, bucket)
    make(digest).initialize()
    age(storage, digest)
    removing, go_on = threading.Event(), threading.Event()
    real = base.shutil.rmtree

    def slow_rmtree(path, *rest, **options):
        if str(path).endswith(digest):
            (Path(path) / "dag.py").unlink()
            removing.set()
            go_on.wait(120)
        real(path, *rest, **options)

    monkeypatch.setattr(base.shutil, "rmtree", slow_rmtree)
    cleaner = threading.Thread(target=clean)
    cleaner.start()
    assert removing.wait(120)
    task = make(digest)
    worker = threading.Thread(target=task.initialize)
    worker.start()
    worker.join(0.3)
    assert worker.is_alive(), "waits while its version is being removed"
    go_on.set()
    worker.join(120)
    cleaner.join(120)
    assert (task.path / "dag.py").read_text() == A["dag.py"]
    age_free = (storage / "_tracking/dags" / digest).read_text()
    assert datetime.fromisoformat(age_free) > datetime.now(timezone.utc) - timedelta(minutes=1)


def test_airflows_own_lock_follows_ours(s3, bucket, make, storage, clean):
    from airflow.dag_processing.bundles.base import BundleVersionLock

    digest = publish(s3, A, bucket)
    bundle = make(digest)
    bundle.initialize()
    with BundleVersionLock("dags", digest):
        age_text = (storage / "_tracking/dags" / digest).read_text()
        assert datetime.fromisoformat(age_text.replace("Z", "+00:00"))
        clean()
        assert bundle.path.exists()


def test_a_large_bundle_is_streamed(s3, bucket, make):
    """64 MB of incompressible code may not cost 64 MB of memory."""
    import resource

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(8):
            archive.writestr(f"blob{number}.bin", os.urandom(8 << 20))
    import hashlib

    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    put(s3, bucket, digest, data)
    del data, buffer
    child = os.fork()
    if child == 0:
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        make(digest).initialize()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
        os._exit(0 if grown < 48 * 1024 else 1)
    assert os.waitpid(child, 0)[1] == 0

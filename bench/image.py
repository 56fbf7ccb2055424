"""The image, built and pushed, beside `docker build && docker push` of an equivalent Dockerfile with BuildKit's cache.

    python3 bench/image.py

Needs Docker, debootstrap and root (see CONTRIBUTING.md). Both push to the same registry of this machine, on the same
base, and begin without any cache; what they download comes from the same index. Bytes are those that the registry had
to store anew.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3.11"
# A client with BuildKit: of Debian 12, or a newer one that has buildx.
DOCKER = os.environ.get("DOCKER", "docker")
DOCKERFILE = f"""
FROM BASE
COPY ca.crt /opt/build/ca.crt
COPY requirements.lock image.lock /opt/build/
RUN --mount=type=bind,source=uv,target=/usr/local/bin/uv --mount=type=cache,target=/root/.cache/uv \\
    SSL_CERT_FILE=/opt/build/ca.crt uv venv --python {PYTHON} /opt/ductwork/venv && \\
    SSL_CERT_FILE=/opt/build/ca.crt uv pip sync --require-hashes --compile-bytecode \\
        --python /opt/ductwork/venv/bin/python /opt/build/requirements.lock /opt/build/image.lock
COPY ductwork_airflow /opt/ductwork/revision/ductwork_airflow
COPY config /opt/ductwork/revision/config
COPY plugins /opt/ductwork/revision/plugins
ENV PATH=/opt/ductwork/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONPATH=/opt/ductwork/revision
USER 50000:0
ENTRYPOINT ["/opt/ductwork/venv/bin/dumb-init", "--single-child", "--"]
"""


def run(*words: str | Path, cwd: Path = ROOT, **env: str) -> str:
    """Standard output of a command that must succeed."""
    arguments = [str(word) for word in words]
    done = subprocess.run(
        arguments, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(arguments[:4])} failed\n{done.stdout}{done.stderr}")
    return done.stdout


class Registry:
    """Debian's registry on a free port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        self.storage = folder / "storage"
        config = folder / "registry.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: {self.host}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.storage}}}}}\n",
            encoding="utf-8",
        )
        run("dev/registry.sh")
        program = ROOT / ".ductwork/servers/registry/usr/bin/docker-registry"
        self.process = subprocess.Popen(
            [program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/").close()
                return
            except OSError:
                time.sleep(0.05)

    def stored(self) -> int:
        """Bytes of everything in it."""
        return sum(file.stat().st_size for file in self.storage.rglob("data") if file.is_file())


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """The registry while it is needed."""
    made = Registry(folder)
    try:
        yield made
    finally:
        made.process.terminate()
        made.process.wait(60)


def measured(where: Registry, work: Any) -> tuple[float, int]:
    """Seconds of the work and bytes that it brought."""
    before, start = where.stored(), time.monotonic()
    work()
    return time.monotonic() - start, where.stored() - before


def project(folder: Path, where: Registry, base: str) -> Path:
    """A copy of this project, whose image goes to the registry."""
    copy = folder / "project"
    for name in run("git", "ls-files").splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (copy / ".ductwork").mkdir()
    (copy / ".ductwork/venvs").symlink_to(ROOT / ".ductwork/venvs")
    with (copy / "environments/local.toml").open("a", encoding="utf-8") as file:
        file.write(
            f"\n[image]\nbase = '{base}'\npython = '3.11'\ninterpreter = '{PYTHON}'\n"
            f"repository = '{where.host}/ours'\n"
        )
    return copy


def context(folder: Path, copy: Path, base: str) -> Path:
    """What the Dockerfile needs."""
    made = folder / "context"
    shutil.copytree(copy / "airflow/ductwork_airflow", made / "ductwork_airflow")
    shutil.copytree(copy / "airflow/config", made / "config")
    shutil.copytree(copy / "plugins", made / "plugins")
    for name in ("requirements.lock", "image.lock"):
        shutil.copy(copy / "airflow" / name, made / name)
    shutil.copy(next((ROOT / ".ductwork/venvs").glob("tools-*/bin/uv")), made / "uv")
    shutil.copy(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"), made / "ca.crt")
    (made / "Dockerfile").write_text(DOCKERFILE.replace("BASE", base), encoding="utf-8")
    return made


def change(folder: Path, word: str) -> None:
    """Another plugin."""
    (folder / "plugins/changed.py").write_text(f"X = {word!r}\n", encoding="utf-8")


def main() -> int:
    """Prints a table in Markdown."""
    xtask = Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT / "target/debug/xtask"
    if not sys.argv[1:]:
        run("cargo", "build", "--quiet", "--package", "xtask")
    with tempfile.TemporaryDirectory(prefix="dw-bench-") as name, registry(Path(name)) as where:
        folder = Path(name)
        base = f"{where.host}/base:3"
        run("dev/base.sh", base)
        copy = project(folder, where, base)
        build = context(folder, copy, base)
        caches = {"UV_CACHE_DIR": str(folder / "uv"), "UV_PYTHON_PREFERENCE": "only-system"}

        def ours() -> None:
            told = run(xtask, "image", "push", "--env", "local", "--format", "json", cwd=copy, **caches)
            json.loads(told)

        def docker() -> None:
            run(DOCKER, "build", "--network", "host", "--quiet", "--tag", f"{where.host}/docker:1", ".", cwd=build,
                DOCKER_BUILDKIT="1")  # fmt: skip
            run(DOCKER, "push", "--quiet", f"{where.host}/docker:1")

        try:
            run(DOCKER, "builder", "prune", "--all", "--force")
            run(xtask, "local", "up", cwd=copy)
            rows = []
            for title, word in (("cold", ""), ("one plugin changed", "a"), ("nothing changed", "")):
                if word:
                    change(copy, word)
                    change(build, word)
                rows.append((title, measured(where, ours), measured(where, docker)))
        finally:
            run(xtask, "local", "down", cwd=copy)
        print("| | ours | pushed | docker | pushed | ratio of the times |\n|---|---|---|---|---|---|")
        for title, (mine, bytes_mine), (its, bytes_its) in rows:
            sizes = f"{bytes_mine / 1e6:.2f} MB | {its:.2f} s | {bytes_its / 1e6:.2f} MB"
            print(f"| {title} | {mine:.2f} s | {sizes} | {mine / its:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

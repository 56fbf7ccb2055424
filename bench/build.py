"""Cold and warm build time of the xtask, with its ten dearest crates: `python3 bench/build.py`.

Builds into a scratch folder, so that the project's own `target/` stays as it is. Downloads count to neither figure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cargo(target: Path, *words: str) -> float:
    """Seconds that a cargo command took."""
    env = os.environ | {"CARGO_TARGET_DIR": str(target)}
    start = time.monotonic()
    subprocess.run(["cargo", *words], cwd=ROOT, env=env, check=True, capture_output=True)
    return time.monotonic() - start


def dearest(target: Path) -> list[tuple[str, float]]:
    """Seconds of compilation by crate, from cargo's own report."""
    html = (target / "cargo-timings/cargo-timing.html").read_text()
    found = re.search(r"const UNIT_DATA = (\[.*?\]);", html, re.DOTALL)
    if not found:
        raise SystemExit("error: cargo's timing report has another form than expected")
    crates: dict[str, float] = defaultdict(float)
    for unit in json.loads(found[1]):
        crates[unit["name"]] += unit["duration"]
    return sorted(crates.items(), key=lambda item: -item[1])[:10]


def main() -> None:
    """Prints the figures."""
    subprocess.run(["cargo", "fetch", "--locked"], cwd=ROOT, check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        cold = cargo(target, "build", "--package", "xtask", "--timings")
        crates = dearest(target)
        (ROOT / "xtask/src/lib.rs").touch()
        warm = cargo(target, "build", "--package", "xtask")
        (ROOT / "xtask/core/src/lib.rs").touch()
        core = cargo(target, "build", "--package", "xtask")
        nothing = cargo(target, "build", "--package", "xtask")
    print(f"{'cold':26} {cold:7.1f} s   1.00 x")
    print(f"{'after an edit':26} {warm:7.1f} s   {warm / cold:.2f} x")
    print(f"{'after an edit of the core':26} {core:7.1f} s   {core / cold:.2f} x")
    print(f"{'nothing changed':26} {nothing:7.1f} s   {nothing / cold:.2f} x")
    for name, seconds in crates:
        print(f"  {name:22} {seconds:7.1f} s")


if __name__ == "__main__":
    main()

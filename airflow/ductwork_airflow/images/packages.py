"""Makes installed packages the same on every machine: `python -I packages.py SITE --python PYTHON --place PLACE`.

Run by the release tool with a Python of the image's own minor version, on what uv installed into the folder SITE.
Standard library only. Afterwards SITE holds nothing that tells where, when or by whom it was installed: commands begin
with the image's PYTHON, records name no command, and byte code is compiled in that Python takes as it is.

Byte code depends on what else the compiling process holds in memory (marshal writes an object that it has seen before
as a reference, and asks the reference count whether that can be). So the files are compiled by processes of their own
(`--compile`), a fixed part of them each, in a fixed order.
"""

from __future__ import annotations

import argparse
import configparser
import importlib.util
import io
import marshal
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# More than most machines have processors, few enough that starting them costs nothing.
PARTS = 16
COMMAND = """#!{python}
import sys
from {module} import {first}
if __name__ == "__main__":
    sys.exit({call}())
"""


def replace(file: Path, content: bytes) -> None:
    """A new file in place of the old one, which may be a link into uv's cache."""
    mode = file.stat().st_mode if file.exists() else 0o644
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(file)


def commands(site: Path) -> Iterator[tuple[str, str]]:
    """Name and object (`module:function`) of each command that packages declare."""
    for file in sorted(site.glob("*.dist-info/entry_points.txt")):
        points = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        points.optionxform = str  # type: ignore[assignment, method-assign]
        points.read_string(file.read_text(encoding="utf-8"))
        if points.has_section("console_scripts"):
            for name, target in points.items("console_scripts"):
                yield name.strip(), target.partition("[")[0].strip()


def script(python: str, target: str) -> bytes:
    """The command as installers write it."""
    module, _, call = target.partition(":")
    return COMMAND.format(python=python, module=module, first=call.partition(".")[0], call=call).encode()


def rewrite_commands(site: Path, python: str) -> None:
    """Every command starts with the image's Python instead of this machine's."""
    folder = site / "bin"
    declared = dict(commands(site))
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        content = file.read_bytes()
        if file.name in declared:
            replace(file, script(python, declared[file.name]))
        elif content.startswith(b"#!") and b"python" in content.partition(b"\n")[0]:
            replace(file, b"#!" + python.encode() + b"\n" + content.partition(b"\n")[2])


def tidy_records(site: Path) -> None:
    """Records without commands, whose checksums are those of this machine, and without the installer's own notes."""
    for folder in sorted(site.glob("*.dist-info")):
        for name in ("uv_cache.json", "direct_url.json"):
            (folder / name).unlink(missing_ok=True)
        record = folder / "RECORD"
        if record.exists():
            gone = ("bin/", "../", f"{folder.name}/uv_cache.json", f"{folder.name}/direct_url.json")
            lines = record.read_text(encoding="utf-8").splitlines()
            kept = sorted({line for line in lines if line and not line.lstrip('"').startswith(gone)})
            replace(record, "".join(f"{line}\n" for line in kept).encode())


def sources(site: Path) -> list[Path]:
    """Every file of Python code, in order; what was compiled on this machine is removed."""
    for file in site.rglob("*.pyc"):
        file.unlink()
    return sorted(file for file in site.rglob("*.py") if file.is_file() and file.parent != site / "bin")


def bytecode(source: bytes, name: str) -> bytes | None:
    """A .pyc that Python takes without looking at the source; None for what this Python cannot compile."""
    try:
        code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        return None
    unchecked = 0b01
    header = (
        importlib.util.MAGIC_NUMBER + unchecked.to_bytes(4, "little") + importlib.util.source_hash(source)
    )
    return header + marshal.dumps(code)


def compile_listed(site: Path, place: str) -> None:
    """Compiles the files named on standard input."""
    warnings.simplefilter("ignore")
    tag = sys.implementation.cache_tag
    for line in sys.stdin.read().splitlines():
        file = site / line
        content = bytecode(file.read_bytes(), f"{place}/{line}")
        if content is not None:
            cache = file.parent / "__pycache__"
            cache.mkdir(exist_ok=True)
            (cache / f"{file.stem}.{tag}.pyc").write_bytes(content)


def compile_all(site: Path, place: str) -> None:
    """Compiles every file, on all processors."""
    files = [file.relative_to(site).as_posix() for file in sources(site)]

    def part(number: int) -> None:
        words = [sys.executable, "-I", "-S", __file__, str(site), "--place", place, "--compile"]
        subprocess.run(words, input="\n".join(files[number::PARTS]), text=True, check=True, env={})

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(part, range(PARTS)))


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path)
    parser.add_argument("--place", required=True, help="where the packages are in the image")
    parser.add_argument("--python", default="", help="the Python of the image")
    parser.add_argument("--compile", action="store_true", help="compile the files named on standard input")
    wanted = parser.parse_args(arguments)
    if wanted.compile:
        sys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8")
        compile_listed(wanted.site, wanted.place)
        return 0
    rewrite_commands(wanted.site, wanted.python)
    tidy_records(wanted.site)
    compile_all(wanted.site, wanted.place)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The workflows as data: `{file: {"on": …, "jobs": …}}` of every file in `.github/workflows`."""

import json
from pathlib import Path

import yaml

# YAML 1.1 takes `on` for a truth.
TRUTH = True


def read(file: Path) -> dict:
    """One workflow, its trigger under its own name."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {("on" if key is TRUTH else key): value for key, value in document.items()}


if __name__ == "__main__":
    print(json.dumps({file.name: read(file) for file in sorted(Path(".github/workflows").glob("*.yml"))}))

"""Writes `localcloud/iam/handlers.json`: what CloudFormation asks IAM for each resource type of our templates.

Usage: `<dev venv>/bin/python dev/handlers.py`. The source is cfn-lint, which carries AWS's resource schemas
(`handlers.*.permissions`) and the Service Authorization Reference (which kinds of resource an action goes to, and
whether conditions can ask for their tags).
"""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = files("cfnlint") / "data"
VERBS = ("create", "read", "update", "delete")
TYPE = re.compile(r"^    Type: (AWS::\w+::\w+)$", re.MULTILINE)
TAG = "aws:ResourceTag/${TagKey}"


def _json(*path: str) -> Any:
    return json.loads(DATA.joinpath(*path).read_text(encoding="utf-8"))


def handlers() -> dict[str, dict[str, list[str]]]:
    """The actions of each handler, by resource type."""
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "templates").rglob("*.yaml")]
    schemas = _json("schemas", "providers", "us-east-1.json")
    found = {}
    for name in sorted({name for text in texts for name in TYPE.findall(text)}):
        # A handle of a wait condition has none: CloudFormation makes it by itself.
        given = _json("schemas", "resources", f"{schemas[name]}.json").get("handlers", {})
        asked = {verb: given[verb]["permissions"] for verb in VERBS if verb in given}
        found[name] = {verb: sorted({_action(one) for one in actions}) for verb, actions in asked.items()}
    return found


def _action(written: str) -> str:
    """The schemas write some services with capitals."""
    service, _, verb = written.partition(":")
    return f"{service.lower()}:{verb}"


def kinds(actions: set[str]) -> dict[str, dict[str, list[str]]]:
    """Which kinds of resource each action goes to (none: it knows no resources), and which have tags for IAM."""
    reference = _json("AdditionalSpecs", "Policies.json")
    goes_to, tagged = {}, set()
    for action in sorted(actions):
        service, _, verb = action.partition(":")
        known = reference.get(service, {})
        found = known.get("Actions", {}).get(verb.lower())
        if found is None:
            continue
        names = found.get("Resources", [])
        goes_to[action] = [f"{service}:{name}" for name in names]
        keys = {name: known["Resources"].get(name.lower(), {}).get("ConditionKeys", []) for name in names}
        tagged |= {f"{service}:{name}" for name in names if TAG in keys[name]}
    return {"goes_to": goes_to, "tagged": sorted(tagged)}


def main() -> None:
    """The command line."""
    types = handlers()
    table = {
        "source": f"made by dev/handlers.py from cfn-lint {version('cfn-lint')}; do not edit",
        "handlers": types,
        **kinds({action for verbs in types.values() for actions in verbs.values() for action in actions}),
    }
    text = json.dumps(table, indent=1)
    (ROOT / "localcloud/iam/handlers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

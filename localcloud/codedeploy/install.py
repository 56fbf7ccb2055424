"""Carries an install plan out and, at the next Install, takes back what was written.

Writes through a link at the destination, as the agent does, but removes the link only.
"""

from __future__ import annotations

import contextlib
import grp
import json
import logging
import os
import pwd
import shutil
from pathlib import Path

from localcloud.base.files import write_atomic
from localcloud.codedeploy.plan import Plan

log = logging.getLogger("localcloud.codedeploy")


def clean_up(record: Path) -> None:
    """Undo the previous Install from its record, last first: files go, directories only when empty."""
    try:
        created = record.read_text().splitlines()
    except FileNotFoundError:
        return
    for line in reversed(created):
        path = Path(line)
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
    record.unlink(missing_ok=True)


def execute(plan: Plan, instructions: Path, record: Path) -> None:
    """Write the plan, then do it, recording each creation before the next."""
    instructions.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(instructions, json.dumps(plan.as_json(), indent=1), mode=0o644)
    with record.open("a", encoding="utf-8") as created:
        for directory in plan.directories:
            Path(directory).mkdir(parents=True, exist_ok=True)
            created.write(directory + "\n")
            created.flush()
        for source, target in plan.copies:
            _copy(Path(source), Path(target))
            created.write(target + "\n")
        created.flush()
    for name, rule in plan.permissions:
        if rule.mode is not None and not Path(name).is_symlink():
            Path(name).chmod(rule.mode)
        _own(name, rule.owner, rule.group)
        if rule.acls or rule.context:
            log.warning("acls and contexts are not set on a local instance: %s", name)


def _copy(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.unlink(missing_ok=True)
        # Not Path.readlink, which tidies the text of the link on its way.
        shutil.copyfile(source, target, follow_symlinks=False)
        return
    shutil.copy2(source, target)  # like the agent, through a link that is in its place


def _own(name: str, owner: str | None, group: str | None) -> None:
    """Accounts of an EC2 host seldom exist here; what cannot be given is said, not failed."""
    if owner is None and group is None:
        return
    try:
        uid = pwd.getpwnam(owner).pw_uid if owner else -1
        gid = grp.getgrnam(group).gr_gid if group else -1
    except KeyError:
        log.warning("no account %s:%s on this machine; %s keeps its owner", owner or "", group or "", name)
        return
    if os.geteuid() == 0:
        os.chown(name, uid, gid, follow_symlinks=False)
    else:
        log.warning("not root; %s keeps its owner", name)

"""What the dag-processor notes for its receipt: how many DAGs Airflow has of which bundle, and what does not import.

Asked of the database, which is what Airflow runs by, after files have been parsed and at most every two seconds; two
counts answer whether anything has changed. Never a reason for the dag-processor to fail.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.errors import ParseImportError
from airflow.utils.session import create_session
from sqlalchemy import func, select

from ductwork_airflow import contract
from ductwork_airflow.receipts import notes

log = logging.getLogger("ductwork.parsed")

COMPONENT, SUBJECT = "dag-processor", "bundle"
LOOK_SECONDS = 2.0
MOST_NAMED = 10


def digest(dag_ids: Iterable[str]) -> str:
    """Names a set of DAGs: the sha256 of their ids in order, one in a line. The release tool makes the same."""
    return hashlib.sha256("".join(f"{dag_id}\n" for dag_id in sorted(dag_ids)).encode()).hexdigest()


@dataclass
class Parsed:
    """What was noted last."""

    clock: Callable[[], float] = time.monotonic
    looked: float = float("-inf")
    seen: Any = None  # since when nothing has to be asked: version, and what was parsed last
    counted: Any = None

    def look(self, version: str | None, parsed: Any) -> None:
        """Notes what the database has of a version; `parsed` is another value whenever a file has been parsed."""
        now = self.clock()
        if version is None or (version, parsed) == self.seen or now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        try:
            self.count(version)
            self.seen = (version, parsed)
        except Exception:
            log.warning("cannot note what has been parsed", exc_info=True)

    def count(self, version: str) -> None:
        """Writes a note if the counts are others than those noted."""
        with create_session() as session:
            dags = select(DagModel.bundle_version, func.count()).where(
                DagModel.bundle_name == contract.DAG_BUNDLE, DagModel.is_stale.is_(False)
            )
            counts = sorted(
                (str(one), int(number))
                for one, number in session.execute(dags.group_by(DagModel.bundle_version))
            )
            errors = select(ParseImportError.filename).where(
                ParseImportError.bundle_name == contract.DAG_BUNDLE
            )
            broken = sorted(str(name) for name in session.scalars(errors))
            if (version, counts, broken) == self.counted:
                return
            have = select(DagModel.dag_id, DagModel.bundle_version).where(
                DagModel.bundle_name == contract.DAG_BUNDLE, DagModel.is_stale.is_(False)
            )
            rows = [(str(dag_id), of) for dag_id, of in session.execute(have)]
        new = [dag_id for dag_id, of in rows if of == version]
        old = sorted(dag_id for dag_id, of in rows if of != version)
        note = {
            "version": version,
            "dags": len(new),
            "dag_ids": digest(new),
            "behind": len(old),
            "behind_named": old[:MOST_NAMED],
            "import_errors": len(broken),
            "import_errors_named": broken[:MOST_NAMED],
        }
        notes.write(os.environ, COMPONENT, SUBJECT, note)
        self.counted = (version, counts, broken)

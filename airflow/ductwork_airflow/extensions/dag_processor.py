"""`airflow dag-processor` with one addition: the new version of a bundle is swept (`sweep.py`), changed files first.

Everything else is Airflow's own loop, but for its pause, which a release that asks for its bundle cuts short. While a
sweep lasts, the loop leaves alone the files that the sweep has not reached; callbacks, other bundles and the heartbeat
go on. A file that the sweep has stored counts as parsed. All others stay in the loop's queue, whether the sweep has
passed them over or has died.

Airflow before 3.3 stores results another way: there every file is left to its loop.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import attrs
from airflow.dag_processing.manager import DagFileInfo, DagFileProcessorManager, DagFileStat
from airflow.dag_processing.processor import DagFileParsingResult
from airflow.models.dagbag import DagPriorityParsingRequest
from airflow.utils.session import create_session
from airflow.utils.timezone import utcnow
from sqlalchemy import Select, select

from ductwork_airflow import contract
from ductwork_airflow.extensions.parsed import Parsed
from ductwork_airflow.extensions.sweep import Sweeper

log = logging.getLogger("ductwork.dag_processor")

LOOK_SECONDS = 0.2
SWEEPS = hasattr(DagFileProcessorManager, "persist_parsing_result")


@attrs.define(kw_only=True)
class Manager(DagFileProcessorManager):
    """Airflow's manager of DAG files, with sweeps."""

    _sweepers: list[Sweeper] = attrs.field(factory=list, init=False)
    _swept: dict[str, str] = attrs.field(factory=dict, init=False)
    """The version of each bundle whose sweep was begun last"""
    _parsed: Parsed = attrs.field(factory=Parsed, init=False)

    def deactivate_deleted_dags(self, bundle_name: str, present: set[DagFileInfo]) -> None:
        """Called by Airflow whenever a bundle was refreshed, with its files: the moment to begin a sweep."""
        super().deactivate_deleted_dags(bundle_name, present)
        version = self._bundle_versions.get(bundle_name)
        if SWEEPS and version is not None and version != self._swept.get(bundle_name):
            self._swept[bundle_name] = version
            self._begin_sweep(bundle_name, present)

    def _begin_sweep(self, bundle_name: str, present: set[DagFileInfo]) -> None:
        self._end_sweep()
        # What is being parsed is the version before, and would be stored as this one.
        others = {
            file
            for file, process in self._processors.items()
            if process.had_callbacks or file.bundle_name != bundle_name
        }
        self.terminate_orphan_processes(present=others)
        files, _ = self._sort_by_mtime(present)  # the bundle dates changed files later than all others
        for number in range(min(self._parallelism, len(files))):
            self._sweepers.append(Sweeper(files[number :: self._parallelism], self._store))
        log.info("sweeping %d files of bundle %s", len(files), bundle_name)

    def _end_sweep(self) -> None:
        for sweeper in self._sweepers:
            sweeper.end()
        self._sweepers = []

    def _store(self, file: DagFileInfo, result: DagFileParsingResult, seconds: float) -> None:
        """Runs in a sweeper."""
        with create_session() as session:
            self.persist_parsing_result(
                bundle_name=file.bundle_name,
                bundle_version=self._bundle_versions[file.bundle_name],
                version_data=self._bundle_version_data.get(file.bundle_name),
                parsing_result=result,
                run_duration=seconds,
                relative_fileloc=str(file.rel_path),
                session=session,
            )

    def _start_new_processes(self) -> None:
        """Leaves out what a sweeper has before it."""
        if not self._sweepers:
            super()._start_new_processes()
            return
        ahead = {file for sweeper in self._sweepers for file in sweeper.left}
        held = [file for file in self._file_queue if file in ahead and file not in self._callback_to_execute]
        for file in held:
            del self._file_queue[file]
        super()._start_new_processes()
        self._file_queue.update(dict.fromkeys(held))

    def _collect_results(self) -> None:
        super()._collect_results()
        for sweeper in list(self._sweepers):
            for file, report in sweeper.stored():
                self._count(file, **report)
            hangs = time.monotonic() - sweeper.moved > self.processor_timeout
            if sweeper.ended or hangs:
                sweeper.end()
                self._sweepers.remove(sweeper)
                how, number, all_files = "hung" if hangs else "ended", sweeper.number, len(sweeper.files)
                log.info("a sweep has %s, %d of %d files are stored", how, number, all_files)
        finished = (stat.last_finish_time for stat in self._file_stats.values() if stat.last_finish_time)
        self._parsed.look(self._bundle_versions.get(contract.DAG_BUNDLE), max(finished, default=None))

    def _service_processor_sockets(self, timeout: float | None = 1.0) -> None:
        """The loop's one pause, a second long: it ends as soon as a release asks for its bundle to be looked at."""
        end = time.monotonic() + (timeout or 0.0)
        while (left := end - time.monotonic()) > 0:
            if self.selector.select(min(left, LOOK_SECONDS)) or self._is_asked():
                break
        super()._service_processor_sockets(timeout=0)

    def _is_asked(self) -> bool:
        with create_session() as session:
            return session.scalar(asked([bundle.name for bundle in self._dag_bundles])) is not None

    def _count(self, file: DagFileInfo, dags: int, seconds: float) -> None:
        """Takes a file for parsed."""
        runs = self._file_stats[file].run_count
        self._file_stats[file] = DagFileStat(
            num_dags=dags, last_finish_time=utcnow(), last_duration=seconds, run_count=runs + 1
        )
        self._file_queue.pop(file, None)

    def terminate(self) -> None:
        """Stops everything that was started here."""
        super().terminate()
        self._end_sweep()


def asked(bundles: list[str]) -> Select[tuple[str]]:
    """Whether the API was asked to have a file of these bundles parsed, which `deploy` does for each new version."""
    return (
        select(DagPriorityParsingRequest.id)
        .where(DagPriorityParsingRequest.bundle_name.in_(bundles))
        .limit(1)
    )


def main() -> Any:
    """Airflow's own command, which looks its manager up by this name."""
    from airflow.__main__ import main as airflow
    from airflow.cli.commands import dag_processor_command

    dag_processor_command.DagFileProcessorManager = Manager
    sys.argv = ["airflow", "dag-processor", *sys.argv[1:]]
    return airflow()


if __name__ == "__main__":
    raise SystemExit(main())

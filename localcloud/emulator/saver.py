"""Keeps every service's state on disk, shortly after each write, so that `kill -9` loses at most a few
moments.

One thread, woken by marks; a request only sets a flag. State is compared with what was written last, so that
a poll of an empty queue writes nothing. What was read together is replaced together: either all files of a
batch become the new ones, or none. S3 objects are not handled here: ministack writes them when they are put.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localcloud.base.files import write_atomic

log = logging.getLogger("localcloud.emulator.saver")
SETTLE_SECONDS = 0.05  # collects the writes of one burst
REST = 9  # of ten moments saving may take one: the others are for those who are saved for
LONGEST_REST_SECONDS = 1.0
LAST_READ = "cloudformation"
NEW = ".new"  # suffix of a batch's files until all of them are written
COMMITTED = "committed"  # there while a whole batch takes the place of the files before
BUSY_SECONDS = 0.4  # how often to look again while a stack operation goes on in the background


class Saver:
    """Saves services by their key in ministack's state map."""

    def __init__(
        self,
        folder: Path,
        getters: Callable[[], dict[str, Callable[[], Any]]],
        encode: Callable[[str, Any], str],
        busy: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._getters = getters
        self._encode = encode
        self._busy = busy
        self._dirty: set[str] = set()
        self._everything = False
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._wake = threading.Event()
        self._written: dict[str, int] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="saver", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def mark(self, key: str) -> None:
        """Something of this service may have changed."""
        with self._lock:
            self._dirty.add(key)
        self._wake.set()

    def mark_all(self) -> None:
        """A stack operation may have changed any service."""
        self._everything = True
        self._wake.set()

    def stop(self) -> None:
        """Save what is left and end."""
        self._stopping = True
        self._wake.set()
        self._thread.join(5)
        self.save_all()

    def save_all(self) -> None:
        self._save(set(self._getters()))

    def _run(self) -> None:
        was_busy, rest = False, SETTLE_SECONDS
        while not self._stopping:
            # Busy last time: look once more, an operation that has ended since has changed things without a
            # request.
            self._wake.wait(BUSY_SECONDS if was_busy or self._busy() else None)
            if self._stopping:
                return
            time.sleep(rest)
            self._wake.clear()
            with self._lock:
                dirty, self._dirty = self._dirty, set()
                everything, self._everything = self._everything or was_busy, False
            was_busy = self._busy()
            everything = everything or was_busy
            began = time.monotonic()
            try:
                self._save(set(self._getters()) if everything else dirty)
            except Exception:
                log.exception("could not save the state of the local cloud")
            rest = rest_after(time.monotonic() - began)

    def _save(self, keys: set[str]) -> None:
        with self._write_lock:
            getters = self._getters()
            # Stacks are read last: after a crash a stack may name a resource that is not there yet (see
            # recover.py), but no resource is there that no stack knows.
            ordered = sorted(keys & getters.keys(), key=lambda key: (key == LAST_READ, key))
            texts = [
                (key, text) for key in ordered if (text := self._changed_text(key, getters[key])) is not None
            ]
            if not texts:
                return
            for key, text in texts:
                write_atomic(self._folder / f"{key}.json{NEW}", text)
            write_atomic(self._folder / COMMITTED, "")
            settle(self._folder)
            self._written.update((key, hash(text)) for key, text in texts)

    def _changed_text(self, key: str, get_state: Callable[[], Any]) -> str | None:
        """The state as it is to be written; None when the file holds it already."""
        is_new = key not in self._written and not (self._folder / f"{key}.json").exists()

        def text() -> str | None:
            state = get_state()
            return None if state is None or (is_new and _is_empty(state)) else self._encode(key, state)

        whole = _undisturbed(text)
        return None if whole is None or self._written.get(key) == hash(whole) else whole


def _undisturbed(read: Callable[[], str | None]) -> str | None:
    """What is read, again when a request changed it under our hands."""
    for attempt in range(8):
        try:
            return read()
        except RuntimeError:  # dictionary changed size during iteration
            time.sleep(0.002 * (attempt + 1))
    return read()


def rest_after(seconds: float) -> float:
    """How long to do nothing after having saved for so long."""
    return min(max(SETTLE_SECONDS, REST * seconds), LONGEST_REST_SECONDS)


def _is_empty(state: Any) -> bool:
    if isinstance(state, dict):
        return all(_is_empty(value) for value in state.values())
    data = getattr(state, "_data", None)
    if data is not None:
        return not data
    return not state


def settle(folder: Path) -> None:
    """Finish a batch that was written as a whole, drop one that was not; also after a crash."""
    whole = (folder / COMMITTED).exists()
    for path in folder.glob(f"*.json{NEW}"):
        if whole:
            path.replace(path.with_suffix(""))
        else:
            path.unlink()
    (folder / COMMITTED).unlink(missing_ok=True)


def check_saved(folder: Path) -> list[Path]:
    """The saved files that are not whole JSON; a whole one can never become so by a crash of ours."""
    bad = []
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except (ValueError, OSError):
            bad.append(path)
    return bad

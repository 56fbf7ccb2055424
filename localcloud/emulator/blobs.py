"""Blobs of the local ECR as files, by their digest: layers are large, and the state of every service is written often.

ministack keeps their bytes in dictionaries by repository; these take the place of those and hold sizes only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ministack.core.responses import AccountRegionScopedDict

from localcloud.base.files import write_atomic


class Repository(dict):
    """Digest and size of a repository's blobs, saved as that; reading gives the bytes."""

    def __init__(self, folder: Path, saved: dict[str, Any]) -> None:
        """`saved` has sizes; states of earlier versions have the bytes."""
        super().__init__()
        self._folder = folder
        for digest, one in saved.items():
            if isinstance(one, bytes):
                self[digest] = one
            else:
                super().__setitem__(digest, one)

    def __setitem__(self, digest: str, content: bytes) -> None:
        file = self._file(digest)
        if not file.exists():
            write_atomic(file, content)
        super().__setitem__(digest, len(content))

    def __getitem__(self, digest: str) -> bytes:
        size = super().__getitem__(digest)
        content = self._file(digest).read_bytes()
        if len(content) != size:
            raise KeyError(digest)
        return content

    def get(self, digest: str, default: Any = None) -> Any:
        try:
            return self[digest]
        except (KeyError, OSError):
            return default

    def _file(self, digest: str) -> Path:
        return self._folder / digest.replace(":", "-")


class Blobs(AccountRegionScopedDict):
    """Repositories by their name."""

    __slots__ = ("_folder",)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def setdefault(self, name: str, default: dict | None = None) -> Repository:
        if name not in self:
            self[name] = Repository(self._folder, {})
        return self[name]

    def update(self, saved: AccountRegionScopedDict | dict) -> None:
        """Take over what was saved."""
        super().update(saved)
        for key, sizes in list(self._data.items()):
            if not isinstance(sizes, Repository):
                self._data[key] = Repository(self._folder, sizes)

    def __deepcopy__(self, memo: dict) -> AccountRegionScopedDict:
        copied = AccountRegionScopedDict()
        copied._data.update({key: dict(sizes.items()) for key, sizes in self._data.items()})
        return copied

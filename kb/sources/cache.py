"""Answers of services on disk, so that what was answered once is not asked for again: a file each, its own header in
front. (hishel, looked at first, keeps what HTTP's own headers allow, which for these services is next to nothing, keeps
an error page that says 200, knows no limit of size, and cannot keep one work out of an answer about many.)"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kb.sources.http import MEBIBYTE, Page

_SCHEMA = 1


class Cache:
    """A folder of answers, `limit` bytes at most after `trim`. Whatever is wrong with it or in it (no right to write, a
    torn file, one from a newer kb) is an answer that is not there."""

    def __init__(self, folder: Path, limit: int = 64 * MEBIBYTE) -> None:
        self.folder, self.limit = folder, limit

    def get(self, key: str, keep: float) -> Page | None:
        """The answer kept for `key` if it is younger than `keep` seconds."""
        try:
            head, _, body = self._file(key).read_bytes().partition(b"\n")
            told = json.loads(head)
            whole = (told["schema"], told["key"], told["sha256"]) == (_SCHEMA, key, hashlib.sha256(body).hexdigest())
            if whole and 0 <= time.time() - float(told["at"]) < keep:
                return Page(str(told["url"]), int(told["status"]), str(told["content_type"]), body)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            pass
        return None

    def put(self, key: str, page: Page) -> None:
        head = {
            "schema": _SCHEMA, "key": key, "at": time.time(), "url": page.url, "status": page.status,
            "content_type": page.content_type, "sha256": hashlib.sha256(page.body).hexdigest(),
        }  # fmt: skip
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd, temp = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        except OSError:
            return
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + page.body)
            os.replace(temp, self._file(key))  # no fsync: a torn file shows by its hash
        except OSError:  # a full disk: what was begun takes no room on it
            _remove(Path(temp))

    def trim(self) -> None:
        """Forget the oldest answers until the rest fits, and what a killed command left half written."""
        files = sorted(self._files(), reverse=True)
        size, old = 0, time.time() - 86400
        for changed, length, path in files:
            size += length
            if size > self.limit or (path.suffix == ".tmp" and changed < old):
                _remove(path)

    def since(self, host: str) -> float:
        """Seconds since any command asked `host`; a lot where none did."""
        try:
            passed = time.time() - self._stamp(host).stat().st_mtime
        except OSError:
            return 1e9
        return passed if passed >= 0 else 1e9  # the clock was set back

    def stamp(self, host: str) -> None:
        """Note that `host` is asked now."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._stamp(host).touch()
        except OSError:
            pass

    def _file(self, key: str) -> Path:
        return self.folder / hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]

    def _stamp(self, host: str) -> Path:
        return self.folder / f"{hashlib.sha256(host.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}.asked"

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        stat = entry.stat(follow_symlinks=False)
                        yield stat.st_mtime, stat.st_size, Path(entry.path)
        except OSError:
            return


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)

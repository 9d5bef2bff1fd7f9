"""A line on the terminal that says what a command waits for, once that takes more than two seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from kb.ids import Source
from kb.sources import Answer, Fetcher

_PATIENCE = 2.0  # seconds


class Waiting:
    """`with Waiting(total) as waiting: … waiting.done += 1`. Nothing is shown where `stream` is no terminal."""

    def __init__(self, total: int, stream: TextIO, patience: float = _PATIENCE) -> None:
        self.total, self.stream, self.patience, self.done = total, stream, patience, 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Waiting:
        if self.stream.isatty():
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _show(self) -> None:
        began, shown = time.monotonic(), False
        pause = self.patience
        while not self._ended.wait(pause):
            shown, pause = True, min(0.5, self.patience)
            seconds = int(time.monotonic() - began)
            self.stream.write(f"\r\033[Kkb: asked about {self.done} of {self.total} … {seconds} s")
            self.stream.flush()
        if shown:
            self.stream.write("\r\033[K")
            self.stream.flush()


def watched(fetch: Fetcher, stream: TextIO | None = None, patience: float = _PATIENCE) -> Fetcher:
    """`fetch`, with that line while its answers are waited for."""

    def fetching(sources: Sequence[Source]) -> Iterator[Answer]:
        screen: TextIO = getattr(sys.stderr, "stream", sys.stderr)  # kb.cli.screen lets no cursor move
        with Waiting(len(sources), stream or screen, patience) as waiting:
            for answer in fetch(sources):
                waiting.done += 1
                yield answer

    return fetching

"""`kb build` and `kb serve`: mkdocs, started from Python, with its failures as one line each."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kb.extras import install
from kb.problem import KbError

os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")  # Material's notice about a successor, on every build

try:
    from mkdocs.commands import build as mkdocs_build
    from mkdocs.commands import serve as mkdocs_serve
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort, ConfigurationError, MkDocsException
except ModuleNotFoundError as error:
    raise KbError(f"`kb build` needs {str(error.name).partition('.')[0]}: {install('site')}") from None


@dataclass
class BuildReport:
    """What a build did. `warnings` are lines as the log shows them: `path:line: check: message (hint)`."""

    pages: int
    seconds: float
    site_dir: Path
    warnings: list[str] = field(default_factory=list)


class _Collector(logging.Handler):
    """Keeps the warnings of mkdocs and the plugin; prints what it hears as it comes, unless quiet."""

    def __init__(self, level: int, quiet: bool = False) -> None:
        super().__init__(level)
        self.quiet = quiet
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().removeprefix("kb: ")
        if record.levelno >= logging.WARNING:
            self.warnings.append(text)
        if not self.quiet:
            print(text, file=sys.stderr)


def build(root: Path, strict: bool = False, site_dir: Path | None = None, quiet: bool = False) -> BuildReport:
    """Write the site of the vault at `root`, to `site_dir` or the place that mkdocs.yml names (site/). With `strict` a
    warning is a failure (KbError that says how many there were); the site is written all the same."""
    start = time.monotonic()
    with _log(_Collector(logging.WARNING, quiet)) as collector, _failures(root, collector):
        config = _config(root, site_dir)
        config.plugins.on_startup(command="build", dirty=False)
        try:
            mkdocs_build.build(config)
        finally:
            config.plugins.on_shutdown()
    written = Path(config.site_dir)
    pages = sum(1 for _ in written.rglob("*.html"))
    report = BuildReport(pages, time.monotonic() - start, written, collector.warnings)
    if strict and report.warnings:
        count = len(report.warnings)
        told = f"{count} warning{'s' if count > 1 else ''}, the first: {report.warnings[0]}"
        raise KbError(f"{told}; `kb check` lists them all")
    return report


def serve(root: Path, host: str = "127.0.0.1", port: int = 8000, open_browser: bool = False) -> None:
    """Show the site at http://host:port/ and keep it up to date with the notes until interrupted."""
    _require_free(host, port)
    with _log(_Collector(logging.INFO)) as collector, _failures(root, collector):
        _config(root, None)  # a broken mkdocs.yml fails here, in one line
        mkdocs_serve.serve(str(root / "mkdocs.yml"), dev_addr=f"{host}:{port}", open_in_browser=open_browser)


def _config(root: Path, site_dir: Path | None) -> Any:
    path = root / "mkdocs.yml"
    if not path.is_file():
        raise KbError(f"{path}: not there; `kb init {root}` makes a vault", 2)
    given = {"site_dir": str(site_dir)} if site_dir else {}
    return load_config(str(path), **given)


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise KbError(f"port {port} is in use; `kb serve --port {port + 1}` takes another", 2) from None
            raise KbError(f"cannot serve at {host}:{port}: {error.strerror}; try --host 127.0.0.1", 2) from None


@contextmanager
def _log(collector: _Collector) -> Iterator[_Collector]:
    """mkdocs' log goes to the collector alone."""
    log = logging.getLogger("mkdocs")
    before, log.propagate = (log.propagate, log.level), False
    log.setLevel(logging.INFO)
    log.addHandler(collector)
    try:
        yield collector
    finally:
        log.removeHandler(collector)
        log.propagate = before[0]
        log.setLevel(before[1])


@contextmanager
def _failures(root: Path, collector: _Collector) -> Iterator[None]:
    """mkdocs' exceptions as KbError. What is wrong with a configuration it logs; the exception says only that."""
    try:
        yield
    except (ConfigurationError, Abort) as error:
        told = " ".join("; ".join([*collector.warnings, str(error)]).split())
        remedy = "see https://www.mkdocs.org/user-guide/configuration/"
        raise KbError(f"{root / 'mkdocs.yml'}: {told}; {remedy}") from None
    except MkDocsException as error:
        raise KbError(str(error).removeprefix("kb: ")) from None

"""Asking the web politely: time limits, few and patient retries, no surprises from redirects or endless answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from kb import __version__
from kb.problem import KbError

if TYPE_CHECKING:
    import httpx

USER_AGENT = f"kb/{__version__} (+https://pypi.org/project/papers-you-can-run/)"
MEBIBYTE = 1 << 20
_BUSY = {429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_GONE = {404, 410}


class Unreachable(KbError):
    """The service did not answer, or not usefully; it may tomorrow. A work that does not exist is a plain KbError."""


@dataclass(frozen=True)
class Page:
    """An answer. `cut` says that the body was longer than was asked for."""

    url: str
    status: int
    content_type: str
    body: bytes
    cut: bool = False


@dataclass
class Client:
    """One for a command. `wait` and `clock` are the time; tests bring their own."""

    timeout: float = 15.0  # seconds for an answer to begin, and twice that for it to end
    tries: int = 3
    patience: float = 60.0  # seconds of waiting in all, for one address
    wait: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _http: Any = None
    _last: dict[str, float] = field(default_factory=dict)

    def get(self, url: str, accept: str = "*/*", limit: int = 2 * MEBIBYTE, gap: float = 0.0) -> Page:
        """The page at `url`, at most `limit` bytes of it. `gap` seconds pass between two requests to its host."""
        waited = 0.0
        for attempt in range(1, self.tries + 1):
            page, pause = self._attempt(url, accept, limit, gap, attempt)
            if page is not None:
                return page
            waited += pause
            if attempt == self.tries or waited > self.patience:
                break
            self.wait(pause)
        raise Unreachable(f"{_host(url)} is too busy to answer; try again later")

    def close(self) -> None:
        if self._http is not None:
            self._http.close()

    def _attempt(self, url: str, accept: str, limit: int, gap: float, attempt: int) -> tuple[Page | None, float]:
        """The page, or how long to wait before the next try."""
        import httpx

        pause = 3.0 * 3 ** (attempt - 1)
        try:
            return self._follow(url, accept, limit, gap)
        except _Busy as busy:
            return None, max(pause, busy.seconds)
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:  # it hung up in the middle
            if attempt == self.tries:
                raise Unreachable(f"{_host(url)} broke off its answer ({error}); try again later") from None
            return None, pause
        except httpx.TimeoutException:
            raise Unreachable(f"{_host(url)} did not answer in {self.timeout:g} seconds; try again later") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise Unreachable(f"{_host(url)} cannot be reached ({error}); check the address and the network") from None

    def _follow(self, url: str, accept: str, limit: int, gap: float) -> tuple[Page, float]:
        for _ in range(10):
            self._keep_distance(url, gap)
            page = self._request(url, accept, limit)
            if isinstance(page, Page):
                return page, 0.0
            url = urljoin(url, page)
            if urlsplit(url).scheme not in ("http", "https"):
                raise KbError(f"a redirect leads to {url[:80]}, which is no web page; check the address")
        raise KbError(f"{_host(url)} redirects in a circle; check the address")

    def _keep_distance(self, url: str, gap: float) -> None:
        host = _host(url)
        if gap and host in self._last and (early := self._last[host] + gap - self.clock()) > 0:
            self.wait(early)
        self._last[host] = self.clock()

    def _request(self, url: str, accept: str, limit: int) -> Page | str:
        """The answer to one request: a page, or the address a redirect names."""
        headers = {"User-Agent": USER_AGENT, "Accept": accept}
        with self._session().stream("GET", url, headers=headers) as response:
            if response.status_code in _REDIRECTS and (target := response.headers.get("location")):
                return str(target)
            if response.status_code in _BUSY:
                raise _Busy(_retry_after(response.headers.get("retry-after", "")))
            if response.status_code in _GONE:
                raise KbError(f"{url} is not there ({response.status_code}); check the address")
            body, cut = self._read(response, limit)
            return Page(url, response.status_code, response.headers.get("content-type", ""), body, cut)

    def _read(self, response: httpx.Response, limit: int) -> tuple[bytes, bool]:
        body, until = bytearray(), self.clock() + 2 * self.timeout
        for chunk in response.iter_bytes(65536):
            body += chunk
            if len(body) > limit:
                return bytes(body[:limit]), True
            if self.clock() > until:
                raise Unreachable(f"{response.url.host} answers too slowly; try again later")
        return bytes(body), False

    def _session(self) -> httpx.Client:
        import httpx

        if self._http is None:
            self._http = httpx.Client(timeout=self.timeout, follow_redirects=False)
        session: httpx.Client = self._http
        return session


class _Busy(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _retry_after(value: str) -> float:
    """Seconds out of a Retry-After header, which holds seconds or a date."""
    if value.strip().isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _host(url: str) -> str:
    return urlsplit(url).hostname or url

"""Asking the web politely: time limits, few and patient retries, distance between requests, answers kept on disk, no
surprises from redirects or endless answers. Proxies are those of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.
Where KB_MAILTO holds a mail address, the services that ask for one are told it."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from kb import __version__
from kb.problem import KbError
from kb.sources.addresses import MACHINE, PUBLIC, allowed, host_of, is_private, stay_outside

if TYPE_CHECKING:
    import httpx

    from kb.sources.cache import Cache
    from kb.sources.connections import Watch

T = TypeVar("T")
HOME = "https://pypi.org/project/papers-you-can-run/"
USER_AGENT = f"kb/{__version__} (+{HOME})"
MEBIBYTE = 1 << 20
MONTH = 30 * 86400.0
JSON = "application/json"
_REDIRECTS = {301, 302, 303, 307, 308}
_GONE = {404, 410}
_SECRET = ("x-api-key", "authorization")
_ENOUGH = 3  # addresses of one host that fail one after the other before the rest is left for later


class Unreachable(KbError):
    """The service did not answer, or not usefully; it may tomorrow. A work that does not exist is a plain KbError."""


class Gone(KbError):
    """The service says that there is no such page (404, 410)."""


@dataclass(frozen=True)
class Page:
    """An answer. `cut` says that the body was longer than was asked for."""

    url: str
    status: int
    content_type: str
    body: bytes
    cut: bool = False


@dataclass(frozen=True)
class _Request:
    accept: str
    limit: int
    gap: float
    headers: Mapping[str, str]
    body: bytes | None = None


def mailto() -> str:
    """The address at which services may reach the person, '' where they are not to know it."""
    return os.environ.get("KB_MAILTO", "").strip()


def polite() -> dict[str, str]:
    """The headers for a service that asks who is asking: the user agent with the mail address, if there is one."""
    return {"User-Agent": f"kb/{__version__} (+{HOME}; mailto:{mailto()})"} if mailto() else {}


@dataclass
class Client:
    """One for a command. `cache` is a folder of answers, used by `ask` alone. `inside`: what is asked for may lie in
    the network of this machine, as a person typed it. `wait`, `clock` and `jitter` (a number from 0 to 1) are time and
    chance; tests bring their own."""

    timeout: float = 15.0  # seconds for an answer to begin, and twice that for it to end
    tries: int = 3
    patience: float = 60.0  # seconds of waiting in all, for one address
    wait: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    cache: Path | None = None
    inside: bool = True
    _allowed: int = 0
    _http: Any = None
    _watch: Watch | None = None
    _kept: Cache | None = None
    _last: dict[str, float] = field(default_factory=dict)
    _failed: dict[str, int] = field(default_factory=dict)

    def get(
        self,
        url: str,
        accept: str = "*/*",
        limit: int = 2 * MEBIBYTE,
        gap: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """The page at `url`, at most `limit` bytes of it. `gap` seconds pass between two requests to its host."""
        return self._patiently(url, _Request(accept, limit, gap, headers or {}))

    def post(
        self, url: str, data: Any, limit: int = 8 * MEBIBYTE, gap: float = 0.0, headers: Mapping[str, str] | None = None
    ) -> Page:
        """The answer to a JSON document, for services that are asked for many works at once."""
        import json

        told = {"Content-Type": JSON} | dict(headers or {})
        return self._patiently(url, _Request(JSON, limit, gap, told, json.dumps(data).encode()))

    def ask(
        self,
        url: str,
        read: Callable[[Page], T],
        accept: str = JSON,
        limit: int = 4 * MEBIBYTE,
        gap: float = 0.0,
        keep: float = MONTH,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """What `read` makes of the page at `url`. A page is kept for `keep` seconds once `read` has taken it; one that
        it refuses with a KbError is not kept, so that no failure is remembered."""
        found = self.recall(url, read, accept, keep)
        if found is not None:
            return found
        page = self.get(url, accept, limit, gap, headers)
        found = read(page)
        self.remember(url, page, accept)
        return found

    def recall(self, url: str, read: Callable[[Page], T | None], accept: str = JSON, keep: float = MONTH) -> T | None:
        """What `read` makes of the answer kept for `url`, None where there is none of use."""
        page = self._cache.get(f"{accept} {url}", keep) if self._cache else None
        try:
            return read(page) if page else None
        except KbError:
            return None

    def remember(self, url: str, page: Page, accept: str = JSON) -> None:
        if self._cache and page.status == 200 and not page.cut:
            self._cache.put(f"{accept} {url}", page)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        if self._kept is not None:
            self._kept.trim()

    @property
    def _cache(self) -> Cache | None:
        if self._kept is None and self.cache is not None:
            from kb.sources.cache import Cache

            self._kept = Cache(self.cache)
        return self._kept

    def _patiently(self, url: str, request: _Request) -> Page:
        host = host_of(url)
        if self._failed.get(host, 0) >= _ENOUGH:
            raise Unreachable(f"{host} failed {_ENOUGH} times in a row and was not asked again; try again later")
        self._failed[host] = self._failed.get(host, 0) + 1
        try:
            page = self._try(url, request)
        except Gone:
            self._failed[host] = 0
            raise
        self._failed[host] = 0
        return page

    def _try(self, url: str, request: _Request) -> Page:
        waited = 0.0
        for attempt in range(1, self.tries + 1):
            page, pause = self._attempt(url, request, attempt)
            if page is not None:
                return page
            waited += pause
            if attempt == self.tries or waited > self.patience:
                break
            self.wait(pause)
        raise Unreachable(f"{host_of(url)} is too busy to answer; try again later")

    def _attempt(self, url: str, request: _Request, attempt: int) -> tuple[Page | None, float]:
        """The page, or how long to wait before the next try: longer each time, and not in step with everybody else."""
        import httpx

        from kb.sources.connections import TOO_LONG

        pause = 3.0 * 3 ** (attempt - 1) * (1 + self.jitter() / 4)
        try:
            return self._follow(url, request), 0.0
        except _Busy as busy:
            return None, max(pause, busy.seconds)
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:  # it hung up in the middle
            if attempt == self.tries:
                raise Unreachable(f"{host_of(url)} broke off its answer ({error}); try again later") from None
            return None, pause
        except httpx.TimeoutException as error:
            slow = "answers too slowly" if str(error) == TOO_LONG else f"did not answer in {self.timeout:g} seconds"
            raise Unreachable(f"{host_of(url)} {slow}; try again later") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
            told = re.sub(r"\[Errno -?\d+\] ", "", str(error))
            raise Unreachable(f"{host_of(url)} cannot be reached ({told}); check the address and the network") from None

    def _follow(self, url: str, request: _Request) -> Page:
        start = url
        self._allowed = self._first_allowed(start)
        for _ in range(10):
            self._keep_distance(url, request.gap)
            page = self._request(url, request, _origin(url) == _origin(start))
            if isinstance(page, Page):
                return page
            url = urljoin(url, page)
            if urlsplit(url).scheme not in ("http", "https"):
                raise KbError(f"a redirect leads to {url[:80]}, which is no web page; check the address")
            if host_of(url) != host_of(start):
                stay_outside(start, url)
                self._allowed = min(self._allowed, allowed(start))
        raise Unreachable(f"{host_of(url)} redirects in a circle; check the address")

    def _first_allowed(self, url: str) -> int:
        """How far inside the address that was asked for may lead: what the environment names (KB_ARXIV_API) is the
        person's own, what a note or a list names is anybody's."""
        if any(url.startswith(value) for key, value in os.environ.items() if key.startswith("KB_") and "://" in value):
            return MACHINE
        if not self.inside and is_private(url, resolve=False):
            raise KbError(f"{host_of(url)} lies in a private network, where kb asks only what you type yourself")
        return allowed(url, resolve=False) if self.inside else PUBLIC

    def _keep_distance(self, url: str, gap: float) -> None:
        """Wait until `gap` seconds have passed since the last request to a host, which may have been another command's:
        `for id in …; do kb add $id; done` is many commands."""
        host = host_of(url)
        if gap:
            shared = self._cache if not is_private(url, resolve=False) else None
            passed = self.clock() - self._last[host] if host in self._last else shared.since(host) if shared else gap
            if passed < gap:
                self.wait(gap - passed)
            if shared:
                shared.stamp(host)
        self._last[host] = self.clock()

    def _request(self, url: str, request: _Request, at_home: bool) -> Page | str:
        """The answer to one request: a page, or the address a redirect names. Keys are shown to one host alone, and not
        in the clear where they were meant for https."""
        headers = {"User-Agent": USER_AGENT, "Accept": request.accept, "Accept-Encoding": "gzip"}
        headers |= request.headers
        if not at_home:
            headers = {key: value for key, value in headers.items() if key.lower() not in _SECRET}
        method = "GET" if request.body is None else "POST"
        session, watch = self._session()
        watch.allowed, watch.until = self._allowed, self.clock() + 2 * self.timeout
        with session.stream(method, url, headers=headers, content=request.body) as response:
            if response.status_code in _REDIRECTS and (target := response.headers.get("location")):
                return str(target)
            if response.status_code in (408, 429) or response.status_code >= 500:
                raise _Busy(_retry_after(response.headers.get("retry-after", "")))
            if response.status_code in _GONE:
                raise Gone(f"{url} is not there ({response.status_code}); check the address")
            body, cut = self._read(response, request.limit)
            return Page(url, response.status_code, response.headers.get("content-type", ""), body, cut)

    def _read(self, response: httpx.Response, limit: int) -> tuple[bytes, bool]:
        """The body, unpacked by us: no more of it than asked for ever comes to be, however small it was packed."""
        import zlib

        body, until = bytearray(), self.clock() + 2 * self.timeout
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise Unreachable(f"{response.url.host} answers in a form that kb did not ask for ({packed[:40]})")
        unpack = zlib.decompressobj(47) if packed not in ("identity", "") else None
        for chunk in response.iter_raw():  # with a size it would wait for that much, and not look at the clock
            try:
                body += unpack.decompress(chunk, limit + 1 - len(body)) if unpack else chunk
            except zlib.error as error:
                raise Unreachable(f"{response.url.host} answers with damaged data ({error}); try again later") from None
            if len(body) > limit:
                return bytes(body[:limit]), True
            if self.clock() > until:
                raise Unreachable(f"{response.url.host} answers too slowly; try again later")
        return bytes(body), False

    def _session(self) -> tuple[httpx.Client, Watch]:
        import httpx

        from kb.sources.connections import Watch, watch

        if self._http is None or self._watch is None:
            try:
                self._http, self._watch = httpx.Client(timeout=self.timeout, follow_redirects=False), Watch(self.clock)
                watch(self._http, self._watch)
            except AttributeError:
                raise KbError("kb cannot watch where this httpx connects to; install httpx 0.28") from None
            except (ValueError, ImportError) as error:  # a proxy address of another kind, or one that needs a package
                raise Unreachable(f"the proxy of HTTP_PROXY or ALL_PROXY cannot be used ({error}); mend it") from None
        return self._http, self._watch


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, host_of(url), parts.port


class _Busy(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _retry_after(value: str) -> float:
    """Seconds out of a Retry-After header, which holds seconds or a date."""
    if re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII):
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0

"""Where a connection really goes, and for how long. A name is looked up once, and what was looked up is checked and is
what is connected to: no name can lead elsewhere between the check and the request. One deadline holds for all of an
answer, its head too, however slowly it drips."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpcore

from kb.problem import KbError
from kb.sources.addresses import WHERE, scope_of

if TYPE_CHECKING:
    import httpx

TOO_LONG = "the answer takes too long"


@dataclass
class Watch:
    """What holds for the request under way: how far inside it may lead (addresses.PUBLIC …), and until when, by
    `clock`, it may take."""

    clock: Callable[[], float]
    allowed: int = 0
    until: float = float("inf")

    def left(self, timeout: float | None) -> float:
        """Seconds that an operation may take."""
        left = self.until - self.clock()
        if left <= 0:
            raise httpcore.ReadTimeout(TOO_LONG)
        return left if timeout is None else min(timeout, left)


def watch(session: httpx.Client, watched: Watch) -> None:
    """Have every connection of a session watched. Where a proxy connects, the address is the proxy's own affair, and
    the deadline holds all the same."""
    direct = session._transport  # httpx has no public way to say how names become connections; where its insides
    for transport in {direct, *session._mounts.values()} - {None}:  # change, this fails, and nothing is asked
        pool: Any = transport._pool  # type: ignore[union-attr]
        pool._network_backend = _Backend(pool._network_backend, watched, transport is not direct)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, watched: Watch, proxied: bool) -> None:
        self.inner, self.watched, self.proxied = inner, watched, proxied

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in [host] if self.proxied else self._addresses(host, port):
            try:
                left = self.watched.left(timeout)
                return _Stream(self.inner.connect_tcp(address, port, left, local_address, socket_options), self.watched)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def _addresses(self, host: str, port: int) -> list[str]:
        """What the name stands for; a KbError where any of it lies further inside than the request may lead."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        for address in addresses:
            if (scope := scope_of(address)) > self.watched.allowed:
                raise KbError(f"{host} leads {WHERE[scope]} ({address}), and kb was not asked to look there; check it")
        return addresses


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, watched: Watch) -> None:
        self.inner, self.watched = inner, watched

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self.watched.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.watched.left(timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self.inner.start_tls(ssl_context, server_hostname, self.watched.left(timeout))
        return _Stream(inner, self.watched)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)

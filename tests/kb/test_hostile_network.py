"""What a page, a note or a list names may not lead into the network of this machine, nor keep kb waiting, nor fill its
memory."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpcore
import pytest
import servers
from servers import Reply, Server

from kb.problem import KbError
from kb.sources import addresses, connections
from kb.sources.connections import Watch
from kb.sources.http import Client, Unreachable

Vault = Callable[..., Path]
Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with servers.serve({"/x": Reply("<title>inside</title>")}) as served:
        yield served


def book(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Every name stands for the first of these addresses when it is first asked for, and so on; what was asked for."""
    asked: list[str] = []
    following = itertools.chain(answers, itertools.repeat(answers[-1]))

    def look(host: str, port: Any = None, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", (next(following), port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    return asked


@pytest.mark.parametrize("number", ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "::ffff:127.0.0.1", "fe80::1"])
def test_a_name_of_the_web_never_means_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    book(monkeypatch, number)
    client = Client(timeout=5, wait=lambda seconds: None)
    with pytest.raises(KbError, match=r"evil\.example leads to this machine .*kb was not asked to look there"):
        client.get(server.url.replace("127.0.0.1", "evil.example") + "/x")
    client.close()
    assert server.asked == []


class Connecting(httpcore.NetworkBackend):
    """Notes where it is asked to connect, and does not."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.asked.append(host)
        raise httpcore.ConnectError("not here")


def test_what_was_checked_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is public when it is looked up, and this machine ever after."""
    looked, inner = book(monkeypatch, "8.8.8.8", "127.0.0.1"), Connecting()
    backend = connections._Backend(inner, Watch(lambda: 0.0, addresses.PUBLIC, 10.0), proxied=False)
    with pytest.raises(httpcore.ConnectError):
        backend.connect_tcp("rebind.example", 80)
    assert (looked, inner.asked) == (["rebind.example"], ["8.8.8.8"])
    with pytest.raises(KbError, match="rebind.example leads to this machine"):
        backend.connect_tcp("rebind.example", 80)
    assert inner.asked == ["8.8.8.8"]


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", (number, 80)) for number in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    backend = connections._Backend(inner := Connecting(), Watch(lambda: 0.0, addresses.PUBLIC, 10.0), proxied=False)
    with pytest.raises(KbError, match=r"leads into a private network \(10.0.0.1\)"):
        backend.connect_tcp("both.example", 80)
    assert inner.asked == []


@pytest.mark.parametrize(
    ("number", "scope"),
    [
        ("8.8.8.8", 0), ("2606:4700::1111", 0), ("64:ff9b::808:808", 0), ("2002:808:808::1", 0), ("10.0.0.1", 1),
        ("100.64.0.1", 1), ("fd00::1", 1), ("64:ff9b::a00:1", 1), ("2002:a00:1::1", 1), ("::8.8.8.8", 1),
        ("240.0.0.1", 1), ("64:ff9b::7f00:1", 2), ("2002:7f00:1::1", 2), ("::ffff:169.254.169.254", 2),
        ("fe80::1%eth0", 2), ("224.0.0.1", 2), ("255.255.255.255", 1),
    ],
)  # fmt: skip
def test_where_a_number_lies(number: str, scope: int) -> None:
    assert addresses.scope_of(number) == scope


@pytest.mark.parametrize(
    ("url", "far"),
    [
        ("http://127.0.0.1/", 2), ("http://localhost:80/", 2), ("http://2130706433/", 2), ("http://0x7f.1/", 2),
        ("http://017700000001/", 2), ("http://[::1]/", 2), ("http://[::ffff:10.0.0.1]/", 2), ("http://wiki/", 2),
        ("http://printer.local/", 2), ("http://good.example@127.0.0.1/", 2), ("http://8.8.8.8/", 0),
        ("http://127.0.0.1@good.example/", 1), ("http://wiki.example/", 1),
    ],
)  # fmt: skip
def test_how_far_an_address_that_was_typed_may_lead(url: str, far: int) -> None:
    assert addresses.allowed(url, resolve=False) == far


def test_after_a_redirect_from_the_web_nothing_private_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second page's name is looked at twice: it is public for the check, and private for the connection."""
    monkeypatch.setattr(Client, "_request", redirecting(server, Client._request))
    book(monkeypatch, "8.8.8.8", "8.8.8.8", "8.8.8.8", "10.0.0.1")
    client = Client(timeout=5, wait=lambda seconds: None)
    with pytest.raises(KbError, match=r"second\.example leads into a private network"):
        client.get("http://first.example/")
    client.close()
    assert server.asked == []


def redirecting(server: Server, ask: Any) -> Any:
    """The first page of the web, which redirects to the second; any other is asked for."""

    def request(self: Client, url: str, *more: Any) -> Any:
        there = server.url.replace("127.0.0.1", "second.example") + "/x"
        return there if "first.example" in url else ask(self, url, *more)

    return request


# What notes and lists name


def test_a_note_or_a_list_names_no_address_of_this_machine(server: Server, make_vault: Vault, run_kb: Run) -> None:
    url = f"{server.url}/x"
    note = f"---\ntitle: x\nurl: {url}\nincomplete: web\n---\n"
    root = make_vault({"posts/a.md": note})
    told = "127.0.0.1 lies in a private network, where kb asks only what you type yourself"
    done = run_kb(root, "add", "--complete")
    assert done.returncode == 1 and f"notes/posts/a.md:4: incomplete: {told}" in done.stderr
    (root / "refs.txt").write_text(f"{url}?b\nhttp://good.example@127.0.0.1:{server.url.rpartition(':')[2]}/x\n")
    done = run_kb(root, "add", "refs.txt")
    assert f"refs.txt:1: {told}" in done.stderr and done.returncode == 1
    assert server.asked == []
    done = run_kb(root, "add", f"{url}?c")
    assert done.returncode == 0, done.stderr
    assert server.asked == ["/x?c"]


# Time


def _raw(listening: socket.socket, pieces: Iterator[bytes]) -> None:
    """One answer, a piece at a time, until there are no more or nobody listens."""
    asking, _ = listening.accept()
    with asking, contextlib.suppress(OSError):
        asking.recv(10_000)
        for piece in pieces:
            asking.sendall(piece)


def raw_get(pieces: Iterator[bytes], **options: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_raw, args=(listening, pieces), daemon=True)
        thread.start()
        client = Client(tries=1, wait=lambda seconds: None, **options)
        try:
            client.get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        finally:
            client.close()
            thread.join(30)


class Dripping(httpcore.NetworkBackend, httpcore.NetworkStream):
    """A server that sends its head letter by letter; `waits` are the seconds for which each was waited for."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.head = itertools.chain(b"HTTP/1.1 200 OK\r\nX-Long: ", itertools.repeat(ord("a"), 50_000))

    def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        return self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.waits.append(timeout or 1e9)
        return bytes(itertools.islice(self.head, 1))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_head_that_drips_is_not_waited_for() -> None:
    """Each look at the clock finds it a second later. The last letter is not waited for longer than is left."""
    ticks, dripping = itertools.count(), Dripping()
    client = Client(timeout=5, tries=1, clock=lambda: float(next(ticks)))
    session, _ = client._session()
    session._transport._pool._network_backend.inner = dripping  # type: ignore[attr-defined]
    with pytest.raises(Unreachable, match="127.0.0.1 answers too slowly"):
        client.get("http://127.0.0.1/")
    client.close()
    assert 0 < len(dripping.waits) < 12
    assert dripping.waits[0] == 5 and dripping.waits[-1] <= 2


def test_a_head_without_end_is_cut_off() -> None:
    with pytest.raises(Unreachable, match="broke off"):
        raw_get(itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X: " + b"a" * 4000 + b"\r\n", 100_000)))


# Size


def test_a_packed_body_never_comes_to_be(server: Server) -> None:
    """A hundred megabytes in a hundred kilobytes."""
    packed = gzip.compress(b"\0" * (100 << 20))
    server.pages["/bomb"] = Reply(packed, headers={"Content-Encoding": "gzip"})
    client = Client(timeout=20)
    client.get(server.url + "/x")  # what is imported for a request is imported
    tracemalloc.start()
    page = client.get(server.url + "/bomb", limit=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    client.close()
    assert page.cut and len(page.body) == 1 << 20
    assert peak < 8 << 20


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "compress"])
def test_a_body_packed_otherwise_is_not_unpacked(server: Server, encoding: str) -> None:
    server.pages["/x"] = Reply(gzip.compress(gzip.compress(b"x")), headers={"Content-Encoding": encoding})
    client = Client(timeout=20)
    with pytest.raises(Unreachable, match="in a form that kb did not ask for"):
        client.get(server.url + "/x")
    client.close()
    assert server.headers[0]["accept-encoding"] == "gzip"


def test_a_damaged_body_is_said(server: Server) -> None:
    server.pages["/x"] = Reply(b"no gzip", headers={"Content-Encoding": "gzip"})
    client = Client(timeout=20)
    with pytest.raises(Unreachable, match="damaged data"):
        client.get(server.url + "/x")
    client.close()

"""How kb asks: through proxies, out of its cache, at a distance, and not where a redirect should not lead."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers
import servers_papers as papers
from hypothesis import given
from hypothesis import strategies as st
from servers import Reply, Server
from servers_web import elsewhere

from kb.ids import identify
from kb.problem import KbError
from kb.sources import Metadata, addresses, fetcher, http
from kb.sources.cache import Cache
from kb.sources.http import Client, Page, Unreachable

DAY = 86400.0
Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "kb_mailto", "s2_api_key"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with servers.serve() as served:
        monkeypatch.setenv("KB_ARXIV_API", served.url + "/api/query")
        monkeypatch.setenv("KB_DOI_RESOLVER", served.url + "/doi")
        monkeypatch.setenv("KB_PUBMED_API", served.url + "/ncbi")
        monkeypatch.setenv("KB_S2_API", served.url + "/s2")
        yield served


def make(tmp: Path | None = None, jitter: float = 0, **more: float) -> tuple[Client, list[float]]:
    """A client that does not sleep, and the seconds for which it would have."""
    waits: list[float] = []
    return Client(timeout=5, wait=waits.append, jitter=lambda: jitter, cache=tmp, **more), waits  # type: ignore[arg-type]


def fetch(client: Client, *texts: str) -> list[Metadata | KbError]:
    sources = [s for text in texts if (s := identify(text))]
    answers = {s.token: answer for s, answer in fetcher(client)(sources)}
    client.close()
    return [answers[s.token] for s in sources]


# The cache


def test_what_was_answered_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.pages["/api/query"] = servers.arxiv(servers.DDPM, servers.LORA, servers.MOBILE)
    server.pages["/doi/10.1038/s41592-021-0001-1"] = papers.as_json(papers.CROSSREF)
    server.pages["/ncbi/efetch.fcgi"] = Reply(papers.PUBMED.format(papers.PUBMED_ARTICLE))
    server.pages["/s2/paper/batch"] = papers.as_json([papers.S2, papers.S2])
    refs = ["2006.11239", "2405.09673", "10.1038/s41592-021-0001-1", "pmid:23193287", "CorpusID:1", "CorpusID:2"]
    first = fetch(make(tmp_path)[0], *refs)
    assert len(server.asked) == 4
    assert fetch(make(tmp_path)[0], *refs) == first
    assert len(server.asked) == 4
    both = fetch(make(tmp_path)[0], "2402.14905", "2006.11239")  # one of the two is known
    assert both[1] == first[0] and server.asked[4:] == ["/api/query?id_list=2402.14905&max_results=1"]


def test_failures_are_not_kept(server: Server, tmp_path: Path) -> None:
    page = [Reply("<html>busy</html>"), Reply("", 404), Reply('{"title": ""}'), papers.as_json(papers.CROSSREF)]
    server.pages["/doi/10.1000/1"] = page
    kinds = [type(fetch(make(tmp_path)[0], "10.1000/1")[0]) for _ in range(4)]
    assert kinds == [Unreachable, KbError, Unreachable, dict]
    missing = [fetch(make(tmp_path)[0], "2012.99999") for _ in range(2)]
    assert len(missing) == 2 and len(server.asked) == 6


def test_an_answer_grows_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, page = Cache(tmp_path), Page("https://e.org/", 200, "text/plain", b"a\nb\x00")
    cache.put("k", page)
    assert cache.get("k", DAY) == page and cache.get("other", DAY) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * DAY)
    assert (cache.get("k", DAY), cache.get("k", 3 * DAY)) == (None, page)
    monkeypatch.setattr(time, "time", lambda: now - DAY)  # a clock set back makes nothing young for ever
    assert cache.get("k", DAY) is None


@given(st.binary(max_size=200) | st.text().map(str.encode), st.integers(0, 400))
def test_a_damaged_answer_is_none(noise: bytes, at: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.put("k", Page("https://e.org/", 200, "text/plain", b"body" * 20))
        (file,) = Path(folder).iterdir()
        whole = file.read_bytes()
        damaged = whole[: at % len(whole)] + noise
        file.write_bytes(damaged)
        found = cache.get("k", DAY)
        assert found is None or damaged == whole


def test_the_cache_keeps_to_its_size_and_forgets_the_oldest(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=3500)
    for n in range(6):
        cache.put(str(n), Page("https://e.org/", 200, "", b"x" * 800))
        os.utime(cache._file(str(n)), (1000 + n, 1000 + n))
    (tmp_path / "half.tmp").write_bytes(b"x")
    os.utime(tmp_path / "half.tmp", (2000, 2000))
    cache.trim()
    assert [cache.get(str(n), DAY) is not None for n in range(6)] == [False, False, False, True, True, True]
    assert not (tmp_path / "half.tmp").exists()


def test_a_cache_that_cannot_be_written_is_none(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    server.pages["/api/query"] = servers.arxiv(servers.DDPM)
    client, _ = make(tmp_path / "file" / "http")
    assert isinstance(fetch(client, "2006.11239")[0], dict)


def test_a_kept_page_that_reads_badly_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.pages["/x"] = Reply("new")
    client, _ = make(tmp_path)
    client.remember(server.url + "/x", Page(server.url + "/x", 200, "", b"old"))

    def read(page: Page) -> bytes:
        if page.body == b"old":
            raise KbError("no")
        return page.body

    assert client.ask(server.url + "/x", read) == b"new"
    client.close()


# Proxies


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_through_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("KB_ARXIV_API", "http://arxiv.example/api/query")
    monkeypatch.setenv(variable, server.url)
    server.pages["/api/query"] = servers.arxiv(servers.DDPM)
    assert isinstance(fetch(make()[0], "2006.11239")[0], dict)
    assert server.asked == ["http://arxiv.example/api/query?id_list=2006.11239&max_results=1"]


def test_no_proxy_for_some(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.pages["/api/query"] = servers.arxiv(servers.DDPM)
    assert isinstance(fetch(make()[0], "2006.11239")[0], dict)
    assert server.asked == ["/api/query?id_list=2006.11239&max_results=1"]


def test_a_proxy_that_is_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://x")
    (answer,) = fetch(make()[0], "2006.11239")
    assert isinstance(answer, Unreachable) and "the proxy of HTTP_PROXY or ALL_PROXY cannot be used" in str(answer)


# Distance and patience


def test_commands_one_after_the_other_keep_their_distance(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_ARXIV_API", "http://arxiv.example/api/query")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.pages["/api/query"] = servers.arxiv(servers.DDPM, servers.LORA)
    first, second = make(tmp_path), make(tmp_path)
    fetch(first[0], "2006.11239")
    fetch(second[0], "2405.09673")
    assert first[1] == []
    assert len(second[1]) == 1 and 2 < second[1][0] <= 3


def test_pauses_grow_and_are_out_of_step(server: Server) -> None:
    server.pages["/x"] = Reply("", 503)
    pauses = []
    for jitter in (0.0, 1.0):
        client, waits = make(jitter=jitter, tries=4, patience=1000)
        with pytest.raises(Unreachable):
            client.get(server.url + "/x")
        client.close()
        pauses.append(waits)
    assert pauses == [[3.0, 9.0, 27.0], [3.75, 11.25, 33.75]]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 599])
def test_what_is_tried_again(server: Server, status: int) -> None:
    server.pages["/x"] = [Reply("", status), Reply("here")]
    client, waits = make()
    assert client.get(server.url + "/x").body == b"here" and waits == [3.0]
    client.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_is_not_tried_again(server: Server, status: int) -> None:
    server.pages["/x"] = Reply("", status)
    client, waits = make()
    try:
        assert client.get(server.url + "/x").status == status
    except http.Gone as gone:
        assert str(gone) == f"{server.url}/x is not there ({status}); check the address"
    client.close()
    assert len(server.asked) == 1 and waits == []


def test_a_host_that_fails_again_and_again_is_left_alone(server: Server) -> None:
    server.pages["/good"] = Reply("here")
    server.pages["/bad"] = Reply("", 503)
    client, _ = make(tries=1)

    def told(path: str) -> str:
        try:
            return client.get(server.url + path).body.decode()
        except KbError as error:
            return str(error)

    busy = "127.0.0.1 is too busy to answer; try again later"
    assert [told(p) for p in ("/bad", "/bad", "/good", "/bad", "/none", "/bad", "/bad", "/bad")] == [
        busy, busy, "here", busy, f"{server.url}/none is not there (404); check the address", busy, busy, busy,
    ]  # fmt: skip
    assert told("/good") == "127.0.0.1 failed 3 times in a row and was not asked again; try again later"
    assert len(server.asked) == 8
    client.close()


def test_a_key_is_shown_to_its_service_only(server: Server) -> None:
    with servers.serve({"/there": Reply("x")}) as other:
        target = other.url.replace("127.0.0.1", "localhost") + "/there"
        server.pages["/a"] = Reply(status=302, headers={"Location": "/b"})
        server.pages["/b"] = Reply(status=302, headers={"Location": target})
        client, _ = make()
        assert client.get(server.url + "/a", headers={"x-api-key": "secret"}).body == b"x"
        client.close()
        assert [h.get("x-api-key") for h in (*server.headers, *other.headers)] == ["secret", "secret", None]


def test_a_key_is_not_shown_in_the_clear(server: Server) -> None:
    server.pages["/api.example/a"] = Reply(status=302, headers={"Location": "http://api.example/b"})
    server.pages["/api.example/b"] = Reply("x")
    client = elsewhere(server)
    client.get("https://api.example/a", headers={"Authorization": "Bearer secret"})
    client.close()
    assert client.asked == ["https://api.example/a", "http://api.example/b"]
    assert [h.get("authorization") for h in server.headers] == ["Bearer secret", None]


def test_an_answer_in_drops_is_not_waited_for(server: Server) -> None:
    """However little comes at a time, the clock is looked at: here it goes on a second at each look."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
    ticks = iter(range(10_000))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_drip, args=(listening, whole), daemon=True)
        thread.start()
        client = Client(timeout=5, clock=lambda: float(next(ticks)))
        with pytest.raises(Unreachable, match="answers too slowly; try again later"):
            client.get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        client.close()
        thread.join()


def _drip(listening: socket.socket, whole: bytes) -> None:
    asking, _ = listening.accept()
    asking.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with asking, contextlib.suppress(OSError):
        asking.recv(10_000)
        head = len(whole) - 200
        asking.sendall(whole[:head])
        for n in range(head, len(whole)):
            asking.sendall(whole[n : n + 1])
            time.sleep(0.003)


# Where redirects may not lead


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/x", "http://localhost:631/", "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://10.1.2.3/",
        "http://192.168.0.1/", "http://169.254.169.254/latest/meta-data/", "http://2130706433/", "http://0x7f.1/",
        "http://metadata.google.internal/", "http://printer.local/", "http://0.0.0.0/", "http://100.64.0.1/",
    ],
)  # fmt: skip
def test_a_public_page_may_not_send_us_home(server: Server, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)  # which stands for the whole web
    server.pages["/start"] = Reply(status=302, headers={"Location": target})
    client, _ = make()
    with pytest.raises(KbError, match="redirects into a private network") as caught:
        client.get("http://8.8.8.8/start")
    client.close()
    assert not isinstance(caught.value, Unreachable) and server.asked == ["http://8.8.8.8/start"]


def test_names_are_looked_up_where_no_proxy_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    book = {"inside.example": "192.168.1.1", "outside.example": "8.8.8.8"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: [(2, 1, 6, "", (book[host], 0))])
    assert [addresses.is_private(f"https://{name}/") for name in book] == [True, False]
    assert not addresses.is_private("http://[::ffff:8.8.8.8]/")
    with pytest.raises(KbError, match="outside.example redirects into a private network \\(inside.example\\)"):
        addresses.stay_outside("https://outside.example/a", "https://inside.example/")
    addresses.stay_outside("https://inside.example/a", "http://127.0.0.1/")  # who begins inside may stay there


def test_a_public_redirect_is_followed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.pages["/start"] = Reply(status=302, headers={"Location": "http://1.1.1.1/end"})
    server.pages["/end"] = Reply("here")
    client, _ = make()
    assert client.get("http://8.8.8.8/start").body == b"here"
    client.close()


# kb add --complete


def test_a_killed_complete_loses_nothing_that_was_answered(server: Server, make_vault: Vault, run_kb: Run) -> None:
    refs = ["10.1000/a", "10.1000/b", "10.1000/c"]
    for ref in refs[:2]:
        server.pages[f"/doi/{ref}"] = papers.as_json({"title": f"Work {ref[-1]}", "type": "article-journal"})
    server.pages["/doi/10.1000/c"] = Reply("late", hold=True)
    root: Path = make_vault({})
    env = {name: os.environ[name] for name in ("KB_DOI_RESOLVER",)}
    assert run_kb(root, "add", *refs, "--offline", **env).returncode == 0
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KB_")} | env
    process = subprocess.Popen([sys.executable, "-m", "kb", "add", "--complete"], cwd=root, env=clean)
    until = time.monotonic() + 30
    while len(server.asked) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.go_on.set()
    assert server.asked == [f"/doi/{ref}" for ref in refs]
    server.pages["/doi/10.1000/c"] = papers.as_json({"title": "Work c"})
    done = run_kb(root, "add", "--complete", **env)
    assert done.returncode == 0, done.stderr
    assert server.asked[3:] == ["/doi/10.1000/c"]
    titles = sorted(path.read_text().splitlines()[1] for path in (root / "notes" / "papers").iterdir())
    assert titles == ["title: Work a", "title: Work b", "title: Work c"]

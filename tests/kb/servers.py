"""A web server on the loopback that answers what a test told it to, and the documents that services answer with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Reply:
    """One answer. `promised` is the Content-Length told where that is not the true one; `hold` keeps the answer back
    until the server is told to go on."""

    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    hold: bool = False


Page = Reply | list[Reply] | Callable[[dict[str, str]], Reply]


@dataclass
class Server:
    """What it was asked (paths with their queries, their headers, and what was posted) and what it answers. Of a list
    of replies one is given after the other, the last again and again; a function gets the query. Asked as a proxy, it
    answers as every host, and `asked` has whole URLs."""

    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)
    url: str = ""
    go_on: threading.Event = field(default_factory=threading.Event)

    def reply(self, path: str) -> Reply:
        parts = urlsplit(path)
        page = self.pages.get(parts.path, Reply("not here", 404))
        if isinstance(page, list):
            return page.pop(0) if len(page) > 1 else page[0]
        if isinstance(page, Reply):
            return page
        return page({key: values[0] for key, values in parse_qs(parts.query).items()})


@contextmanager
def serve(pages: dict[str, Page] | None = None) -> Iterator[Server]:
    """A server of `pages` (path -> what it answers) for the length of a `with`."""
    served = Server(pages or {})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.headers.append({key.lower(): value for key, value in self.headers.items()})
            reply = served.reply(self.path)
            if reply.hold:
                served.go_on.wait(30)
            body = reply.body.encode() if isinstance(reply.body, str) else reply.body
            self.send_response(reply.status)
            for key, value in ({"Content-Type": "text/html; charset=utf-8"} | reply.headers).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body) if reply.promised is None else reply.promised))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            served.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Loopback(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are what some tests are about."""

    httpd = Loopback(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    served.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.go_on.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


_FEED = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <title type="html">ArXiv Query</title>
  <id>http://arxiv.org/api/cHxbiOdZaP56ODnBPIenZhzg5f8</id>
  <opensearch:totalResults xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">{}</opensearch:totalResults>
{}</feed>
"""
_ENTRY = """  <entry>
    <id>http://arxiv.org/abs/{id}</id>
    <updated>2020-12-16T21:15:05Z</updated>
    <published>{published}T17:24:44Z</published>
    <title>{title}</title>
    <summary>  {summary}
</summary>
{authors}{extra}    <link href="http://arxiv.org/abs/{id}" rel="alternate" type="text/html"/>
    <link title="pdf" href="http://arxiv.org/pdf/{id}" rel="related" type="application/pdf"/>
    <arxiv:primary_category xmlns:arxiv="http://arxiv.org/schemas/atom" term="cs.LG"/>
  </entry>
"""


def atom_entry(
    id: str,
    title: str,
    authors: tuple[str, ...] = (),
    published: str = "2020-06-19",
    summary: str = "We show.",
    **extra: str,
) -> str:
    """An entry as arXiv's API writes it; `extra` are elements of its own namespace (doi, journal_ref, comment)."""
    people = "".join(f"    <author>\n      <name>{escape(a)}</name>\n    </author>\n" for a in authors)
    more = "".join(
        f'    <arxiv:{tag} xmlns:arxiv="http://arxiv.org/schemas/atom">{escape(text)}</arxiv:{tag}>\n'
        for tag, text in extra.items()
    )
    return _ENTRY.format(
        id=id, title=escape(title), published=published, summary=escape(summary), authors=people, extra=more
    )


def atom(*entries: str) -> Reply:
    feed = _FEED.format(len(entries), "".join(entries))
    return Reply(feed, headers={"Content-Type": "application/atom+xml; charset=UTF-8"})


def atom_error(message: str) -> Reply:
    """What the API answers to an id that is none."""
    entry = f"""  <entry>
    <id>http://arxiv.org/api/errors#incorrect_id_format</id>
    <title>Error</title>
    <summary>{escape(message)}</summary>
    <author><name>arXiv api core</name></author>
  </entry>
"""
    reply = atom(entry)
    reply.status = 400
    return reply


DDPM = atom_entry(
    "2006.11239v2",
    "Denoising Diffusion\n  Probabilistic Models",
    ("Jonathan Ho", "Ajay Jain", "Pieter Abbeel"),
    summary="We present high quality image synthesis\nresults with $T=1000$.",
)
LORA = atom_entry("2405.09673v2", "LoRA Learns Less and Forgets Less", ("Dan Biderman", "Jacob Portes"), "2024-05-15")
MOBILE = atom_entry(
    "2402.14905v2",
    "MobileLLM: Optimizing Sub-billion Parameter Language Models for On-Device Use Cases",
    ("Zechun Liu", "Changsheng Zhao"),
    "2024-02-22",
    journal_ref="ICML 2024",
)
OLD = atom_entry("hep-th/9901001v3", "String theory & <gauge> fields", ("A. B. C. D'Eath",), "1999-01-01")


def arxiv(*entries: str) -> Callable[[dict[str, str]], Reply]:
    """The API: gives of `entries` those that a request asks for."""

    def answer(query: dict[str, str]) -> Reply:
        ids = query["id_list"].split(",")
        if bad := next((id for id in ids if id.startswith("2012.88888")), None):
            return atom_error(f"incorrect id format for {bad}")
        wanted = [e for e in entries if any(f"/abs/{id}v" in e or f"/abs/{id}<" in e for id in ids)]
        return atom(*wanted[: int(query["max_results"])])

    return answer

"""The services that are not scholarly, as the loopback server plays them: GitHub, Hugging Face, YouTube, web pages, PDF
files. Each document has the form that its service answers with, in our own words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from servers import Reply, Server

from kb.sources.addresses import MACHINE
from kb.sources.http import Client, Page

JSON = {"Content-Type": "application/json; charset=utf-8"}
PDF = {"Content-Type": "application/pdf"}


class Elsewhere(Client):
    """A client for which every host of the web is a folder of the loopback server: `https://github.com/a/b` is asked
    for at `/github.com/a/b`. `asked` are the true addresses."""

    server: Server

    def _request(self, url: str, request: Any, at_home: bool) -> Page | str:
        parts = urlsplit(url)
        there = f"{self.server.url}/{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        self.__dict__.setdefault("asked", []).append(url)
        self._allowed = MACHINE  # where this web is
        answer = super()._request(there, request, at_home)
        return replace(answer, url=url) if isinstance(answer, Page) else answer


def elsewhere(server: Server, **options: Any) -> Elsewhere:
    client = Elsewhere(timeout=5, wait=lambda seconds: None, jitter=lambda: 0, **options)
    client.server = server
    return client


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(value), status, JSON | headers)


def github_repo(full_name: str, description: str | None, created: str = "2022-12-28T00:51:12Z", **more: Any) -> Reply:
    owner, _, name = full_name.partition("/")
    return as_json(
        {
            "id": 582822129,
            "name": name,
            "full_name": full_name,
            "private": False,
            "owner": {"login": owner, "type": "User"},
            "html_url": f"https://github.com/{full_name}",
            "description": description,
            "fork": False,
            "created_at": created,
            "homepage": "",
            "license": {"key": "mit", "spdx_id": "MIT"},
            "topics": ["deep-learning"],
            "stargazers_count": 1,
        }
        | more
    )


GITHUB_LIMIT = as_json(
    {"message": "API rate limit exceeded for 127.0.0.1.", "documentation_url": "https://docs.github.com/rest"},
    403,
    **{"X-RateLimit-Remaining": "0"},
)
GITHUB_PAGE = """<!DOCTYPE html><html><head><title>GitHub - ann/tiny-net: A net of two layers</title>
<meta property="og:site_name" content="GitHub"><meta property="og:type" content="object">
<meta property="og:title" content="GitHub - ann/tiny-net: A net of two layers">
<meta property="og:description" content="A net of two layers, for lessons on training. Contribute to ann/tiny-net development by creating an account on GitHub.">
</head></html>"""  # noqa: E501


def hub(id: str, **more: Any) -> Reply:
    """A model, dataset or space as the hub's API describes it."""
    told = {"_id": "64b6", "id": id, "author": id.rpartition("/")[0], "createdAt": "2023-07-18T10:11:12.000Z"}
    return as_json(told | {"tags": ["pytorch", "arxiv:2307.09288"], "gated": False, "private": False} | more)


def oembed(title: str, author: str, **more: Any) -> Reply:
    told = {"version": "1.0", "type": "video", "provider_name": "YouTube", "title": title, "author_name": author}
    return as_json(told | {"author_url": "https://www.youtube.com/@x", "html": "<iframe></iframe>"} | more)


def watch_page(title: str, published: str, about: str) -> Reply:
    """What YouTube's page of a video says outside its scripts."""
    return Reply(
        f"""<!DOCTYPE html><html><head><title>{title} - YouTube</title><meta name="title" content="{title}">
        <meta property="og:site_name" content="YouTube"><meta property="og:title" content="{title}">
        <meta property="og:type" content="video.other"><meta property="og:description" content="{about}">
        </head><body><div itemscope itemtype="http://schema.org/VideoObject">
        <meta itemprop="datePublished" content="{published}T09:00:12-08:00"></div></body></html>"""
    )


def pdf(
    lines: list[tuple[str, int]], info: dict[str, str] | None = None, stamp: str = "", pages: int = 1, ballast: int = 0
) -> bytes:
    """A PDF of one column: (text, size in points) line by line on each page; `stamp` runs up the left margin, as
    arXiv's does; `ballast` bytes are in it besides."""
    commands, y = [], 740
    for text, size in lines:
        commands.append(f"BT /F1 {size} Tf 72 {y} Td ({_escaped(text)}) Tj ET")
        y -= size + 8
    if stamp:
        commands.append(f"BT /F1 20 Tf 0 1 -1 0 30 200 Tm ({_escaped(stamp)}) Tj ET")
    content = "\n".join(commands).encode("latin-1")
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(pages))
    fields = "".join(f"/{key} ({_escaped(value)})" for key, value in (info or {}).items())
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< {fields} >>".encode("latin-1"),
    ]
    for n in range(pages):
        box = "/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} /Contents {6 + 2 * n} 0 R >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    if ballast:
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (ballast, b"x" * ballast))
    return _file(objects)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _file(objects: list[bytes]) -> bytes:
    body, places = bytearray(b"%PDF-1.4\n"), []
    for n, data in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (n, data)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(body)

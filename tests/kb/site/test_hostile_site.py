"""A site of notes that others wrote to hurt: nothing of theirs runs in it, and nothing leaves the reader's machine."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kb.site.build import build
from kb.site.safety import safe_html

MakeVault = Callable[[Path, dict[str, str]], Path]
EVIL = "\"><img src=x onerror='window.owned=1'></script><script>window.owned=1</script><b onclick='window.owned=1'>"
QUOTED = json.dumps(EVIL)
NOTE = f"""---
title: {QUOTED}
kind: paper
status: reading
at: {QUOTED}
authors: [{QUOTED}, {{family: {QUOTED}, given: {QUOTED}}}]
year: 2020
venue: {QUOTED}
url: "https://e.org/\\"onmouseover=window.owned=1//<script>window.owned=1</script>"
code: "https://e.org/'><script>window.owned=1</script>"
tags: [{QUOTED}, "<script>window.owned=1</script>"]
aliases: [{QUOTED}]
cite: {QUOTED}
abstract: {QUOTED}
results:
  - {{task: {QUOTED}, data: {QUOTED}, metric: {QUOTED}, value: {QUOTED}, where: {QUOTED}}}
bibtex: {{entry: misc, note: {QUOTED}}}
description: {QUOTED}
icon: ../../../../etc/passwd
hide: {QUOTED}
cssclasses: [{QUOTED}]
template: "../../../etc/passwd"
---

# Heading {EVIL}

zygote {EVIL}

[[nowhere|{EVIL}]] [[<script>window.owned=1</script>]] ![[<img onerror=window.owned=1>.png]]
[a](javascript:window.owned=1) [b](JaVa\tscript:window.owned=1) [c](data:text/html,<script>window.owned=1</script>)
[d](vbscript:x) <javascript:window.owned=1> ![e](javascript:window.owned=1) [f](<java&#115;cript:window.owned=1>)

<!--><img src=x onerror=window.owned=1>--> <!-- --!><img src=x onerror=window.owned=1> -->

<svg><animate attributeName=href values=javascript:window.owned=1 /><set attributeName=onclick to=x />
<a xlink:href="javascript:window.owned=1"><text>x</text></a></svg>

<svg onload=window.owned=1>

<iframe src="data:image/svg+xml,<svg onload=window.owned=1>"></iframe> <iframe srcdoc="<script>x</script>"></iframe>

<img src="https://tracker.example/p.png"> <p style="background:\\75rl(https://tracker.example/q)">x</p>
<base href="https://tracker.example/"> <meta http-equiv=refresh content="0;url=https://tracker.example/">
<form action="https://tracker.example/"><button formaction="javascript:window.owned=1">x</button></form>
<link rel=stylesheet href="https://tracker.example/c.css"> <a href="x" ping="https://tracker.example/">y</a>

| a | b |
|---|---|
| {EVIL} | <script>window.owned=1</script> |

```html
{EVIL}
```

$ {EVIL} $ and $$ {EVIL} $$
"""
NOTES = {
    "index.md": "---\ntitle: Home\n---\n\nFine.\n",
    "papers/evil.md": NOTE,
    "papers/linking.md": f"---\ntitle: L\nstatus: read\npart_of: evil\n---\n\nSee {EVIL} [[evil]] there {EVIL}.\n",
    "topics/deep.md": "---\ntitle: Deep\n---\n\n" + "<div>" * 2000 + "x" + "\n\n" + "> " * 200 + "y\n",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    (root / "mkdocs.yml").write_text("site_name: x\ndocs_dir: notes\ntheme:\n  name: material\nplugins: [search, kb]\n")
    for name, text in NOTES.items():
        (root / "notes" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "notes" / name).write_text(text)
    return build(root, quiet=True).site_dir


class Found(HTMLParser):
    """What of a page could run or load, by a parser that is not the one that cleaned it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            bare = "".join((value or "").split()).lower()
            runs = key.startswith("on") or key in ("srcdoc", "formaction", "ping")
            runs |= bare.startswith(("javascript:", "vbscript:", "data:text", "data:image/svg"))
            loads = key in ("src", "action", "data", "poster") and "tracker.example" in bare
            loads |= "tracker.example" in bare and tag in ("link", "base", "meta", "form", "iframe", "p")
            if runs or loads:
                self.wrong.append(f"{tag} {key}={value}")
        if tag in ("animate", "set", "object", "embed"):
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script" and "owned" in data:
            self.wrong.append(f"script {data[:60]}")


def test_nothing_of_a_note_can_run_or_load(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 10 and "zygote" in (site / "papers/evil/index.html").read_text()
    wrong = {page.relative_to(site).as_posix(): Found(page.read_text()).wrong for page in pages}
    assert {page: found for page, found in wrong.items() if found} == {}


def test_the_search_index_holds_no_tags_of_a_note(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text())
    told = " ".join(doc["title"] + doc["text"] for doc in index["docs"])
    assert "zygote" in told
    assert "<img" not in told and "<script" not in told and "<b onclick" not in told


@pytest.mark.parametrize(
    "html",
    [
        "<!--><img src=x onerror=x()>-->",
        "<!-- --!><img src=x onerror=x()> -->",
        "<svg><set attributeName=onclick to=x></svg>",
        "<a<img src=x onerror=x()>",
        "<img src=x onerror=x()",
        "<img \"' src=x onerror=x()>",
        "<iframe src='data:image/svg+xml,<svg onload=x()>'></iframe>",
        "<a href='&#x6A;avascript&colon;x()'>y</a>",
        "<math><maction xlink:href='javascript:x()'>y</maction></math>",
        "<style><img src='</style><img src=x onerror=x()>'>",
        "<svg/onload=x()>",
        "<img src=x\x0conerror=x()>",
        "<img src=x onerror=x() b='>",  # the quote that ends it stands in the theme
    ],
)
def test_what_browsers_and_python_read_differently(html: str) -> None:
    safe = safe_html(f"a{html}b")
    assert Found(safe).wrong == [] and not re.search(r"<[a-z!/][^<>]*(onerror|onload|script:|<)", safe)


def test_a_comment_without_end_hides_nothing_of_the_page() -> None:
    assert safe_html("<p>a</p><!-- b") == "<p>a</p>&lt;!-- b"


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.mark.browser
def test_in_a_browser_nothing_runs_and_no_request_leaves(served: str, chromium: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: dialog.dismiss())
        for path in ("", "papers/evil/", "papers/linking/", "tags/", "status/reading/", "years/", "kinds/"):
            page.goto(served + path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("typeof window.owned") == "undefined", path
        page.goto(served)
        page.locator(".md-search__input").click()
        page.locator(".md-search__input").press_sequentially("zygote")
        page.locator(".md-search-result__item a").first.wait_for()
        assert page.evaluate("typeof window.owned") == "undefined"
        assert [url for url in asked if not url.startswith((served, "data:", "blob:"))] == []
        browser.close()

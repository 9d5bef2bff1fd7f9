"""What a note's own HTML may do."""

from __future__ import annotations

import pytest

from kb.site.safety import is_remote, safe_html


def link(address: str, text: str) -> str:
    """What stands for a load from another host."""
    return f'<a class="kb-remote" href="{address}" rel="noreferrer">{text}</a>'


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="https://t.example/p.png" alt="a">', link("https://t.example/p.png", "image: a (t.example)")),
        ('<img src="//t.example/p.png">', link("https://t.example/p.png", "image: t.example/p.png")),
        ('<img alt="x" src="../a.png" />', '<img alt="x" src="../a.png" />'),
        ('<img src="a.png" onerror="x()">', '<img src="a.png">'),
        ('<img src="a.png" srcset="https://t.example/2x.png 2x">', '<img src="a.png">'),
        ("a<script>alert(1)</script>b", "ab"),
        ("a<SCRIPT src=//x.example/y.js></SCRIPT>b", "ab"),
        ('<iframe src="https://v.example/1">x</iframe>c', link("https://v.example/1", "page: v.example/1") + "c"),
        ('<a href="javascript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href="java\nscript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href="&#106;avascript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href="https://e.example/">x</a>', '<a href="https://e.example/">x</a>'),
        ('<p style="background:url(https://t.example/x)">x</p>', "<p>x</p>"),
        ('<td style="text-align: right;">x</td>', '<td style="text-align: right;">x</td>'),
        ("<style>@import url(https://t.example)</style>x", "x"),
        ('<pre class="mermaid">graph</pre>', "<pre>graph</pre>"),
        ('<object data="https://x.example/o"><p>x</p></object>y', "y"),
        ('<svg><use href="//t.example/i"/></svg>', f"<svg>{link('https://t.example/i', 'image: t.example/i')}</svg>"),
        ("<b/onclick=x>b</b>", "<b>b</b>"),
        ('<meta http-equiv="refresh" content="0;url=https://x.example">x', "x"),
        ('<form action="https://x.example/"><input name="a"></form>', '<form><input name="a"></form>'),
        ("<kbd>C</kbd> &amp; <b onclick=x>b</b> &#8212; <!-- c -->", "<kbd>C</kbd> &amp; <b>b</b> &#8212; "),
    ],
)  # fmt: skip
def test_html_is_made_harmless(html: str, expected: str) -> None:
    assert safe_html(html) == expected


def test_harmless_html_is_returned_as_it_is() -> None:
    html = '<p>a &lt;script&gt; <details open><summary>s</summary></details> <input type="checkbox" disabled /></p>'
    assert safe_html(html) == html


@pytest.mark.parametrize(
    "address", ["https://a.b/c", "//a.b", "/\\a.b", "ht\ntps://a.b", "ftp://a", "file:///a", "\\\\a.b"]
)
def test_an_address_elsewhere_is_remote(address: str) -> None:
    assert is_remote(address)


@pytest.mark.parametrize("address", ["a.png", "../a", "/a", "#x", "data:image/png;base64,xx", "?q=1"])
def test_an_address_here_is_not(address: str) -> None:
    assert not is_remote(address)

"""[[links]] in Python-Markdown, against a small vault of names."""

from __future__ import annotations

import pytest

pytest.importorskip("mkdocs", reason="the site extra is not installed")

import markdown
from markdown.extensions.toc import slugify

from kb.site.formulas import MathExtension, math_html
from kb.site.tables import TableExtension
from kb.site.wikilinks import Target, WikilinkExtension

TARGETS = {
    "ddpm": Target("papers/ddpm.md", "Denoising *Diffusion* <Models>", "Noise in, image out."),
    "ddpm.md": Target("papers/ddpm.md", "Denoising *Diffusion* <Models>"),
    "l1": Target("papers/ddpm.md", "The $\\ell_1$ *norm*"),
    "2025-08-08-log.md": Target("topics/2025-08-08-log.md", "A log"),
}


class Vault:
    def page(self) -> str:
        return "topics/here.md"

    def note(self, name: str) -> Target | None:
        return TARGETS.get(name)

    def asset(self, name: str) -> str | None:
        return {"a b.png": "figures/a b.png", "slides.pdf": "figures/slides.pdf"}.get(name)

    def exists(self, uri: str) -> bool:
        return uri in ("papers/ddpm.md", "topics/2025-08-08-log.md")


def render(text: str) -> str:
    ours = [WikilinkExtension(Vault(), lambda text: slugify(text, "-")), MathExtension()]
    return markdown.markdown(text, extensions=["tables", "toc", "pymdownx.superfences", *ours])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[ddpm]]", '<a class="kb-link" href="../papers/ddpm.md">Denoising *Diffusion* &lt;Models&gt;</a>'),
        ("[[ddpm|the *paper*]]", '<a class="kb-link" href="../papers/ddpm.md">the <em>paper</em></a>'),
        ("[[ddpm#The loss]]", 'href="../papers/ddpm.md#the-loss">Denoising *Diffusion* &lt;Models&gt; › The loss</a>'),
        ("[[ddpm#A#The `loss` term|x]]", 'href="../papers/ddpm.md#the-loss-term">x</a>'),
        ("[[#Own heading]]", '<a class="kb-link" href="#own-heading">Own heading</a>'),
        ("[[2025-08-08-log.md]]", '<a class="kb-link" href="2025-08-08-log.md">A log</a>'),
        ("![[ddpm]]", '<span class="kb-embed__text">Noise in, image out.</span>'),
        ("![[a b.png]]", '<img alt="a b.png" src="../figures/a%20b.png" />'),
        ("![[a b.png|30x20]]", '<img alt="a b.png" height="20" src="../figures/a%20b.png" width="30" />'),
        ("[[slides.pdf]]", '<a class="kb-link" href="../figures/slides.pdf">slides.pdf</a>'),
        ("![[slides.pdf|the slides]]", '<a class="kb-link" href="../figures/slides.pdf">the slides</a>'),
        ("[[nowhere]]", '<span class="kb-missing" title="no note “nowhere” yet">nowhere</span>'),
        ("[[nowhere|some text]]", ">some text</span>"),
        ("![[gone.png]]", '<span class="kb-missing"'),
        ("[x](gone.md)", '<span class="kb-missing" title="no note “gone.md” yet">x</span>'),
        ("[x](../papers/ddpm.md#a)", '<a href="../papers/ddpm.md#a">x</a>'),
        ("[x](https://example.org/a.md)", '<a href="https://example.org/a.md">x</a>'),
    ],
)
def test_a_link_becomes(text: str, expected: str) -> None:
    assert expected in render(text)


@pytest.mark.parametrize(
    "text",
    [
        "`[[ddpm]]`",
        "```\n[[ddpm]]\n```",
        "    [[ddpm]]",
        "$[[ddpm]]$",
        "$$\n[[ddpm]]\n$$",
        r"\[[ddpm]]",
        "[[]]",
        "[[ ]]",
    ],
)
def test_no_link_in_code_math_or_after_a_backslash(text: str) -> None:
    assert "<a" not in render(text) and "kb-missing" not in render(text)


def test_a_link_in_a_table_keeps_its_label() -> None:
    html = render("| a | b |\n|---|---|\n| [[ddpm\\|it]] | 2 |")
    assert '<a class="kb-link" href="../papers/ddpm.md">it</a></td>' in html and html.count("<td") == 2


def test_formulas_in_titles_are_formulas_in_links() -> None:
    assert '>The <span class="kb-math">\\ell_1</span> *norm*</a>' in render("[[l1]]")


def test_code_in_a_table_loses_the_escape_of_its_pipe() -> None:
    table = "| a |\n|---|\n| `[[x\\|y]]` |\n\n`a\\|b`"
    html = markdown.markdown(table, extensions=["tables", TableExtension()])
    assert "<code>[[x|y]]</code>" in html and "<code>a\\|b</code>" in html


def test_the_anchor_of_a_heading_is_the_one_the_table_of_contents_gives() -> None:
    for heading in ("What to doubt, *really*?", "1.2 Über `code` & more", "C++ — a story"):
        anchor = render(f"[[#{heading}]]").split('href="#')[1].split('"')[0]
        assert f'id="{anchor}"' in render(f"## {heading}"), heading


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("a $x_1$ b $y*z*$", ["x_1", "y*z*"]),
        ("$a<b$ and $c \\& d$", ["a&lt;b", "c \\&amp; d"]),
        ("$$\nx\n\n+ y\n$$", ["x\n\n+ y"]),
        ("it costs $5 and $6", []),
        ("`$x$` and $y$", ["y"]),
        ("\\$5 and $z$", ["z"]),
        ("| $a|b$ |\n|---|\n| $c$ |", ["a|b", "c"]),
        ("> $q$\n\n- $i$", ["q", "i"]),
        ("    $code$", []),
        ("```\n$code$\n```", []),
    ],
)
def test_formulas_survive_markdown(text: str, formulas: list[str]) -> None:
    html = render(text)
    assert [part.split(">", 1)[1].split("</span>")[0] for part in html.split('<span class="kb-math')[1:]] == formulas
    assert "wzxhzdk" not in html and "\x02" not in html


def test_code_of_two_lines_and_indented_code_keep_their_dollars() -> None:
    assert "<code>a $x$ b</code>" in render("`a $x$ b`")
    assert "$code$" in render("    $code$") and "a &amp; $b$" in render("    a & $b$")


def test_text_that_is_no_markdown_gets_its_formulas_too() -> None:
    assert math_html("a < $b<c$ & *d*") == 'a &lt; <span class="kb-math">b&lt;c</span> &amp; *d*'
    assert math_html("$5 <") == "$5 &lt;"

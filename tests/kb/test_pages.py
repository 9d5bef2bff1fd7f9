"""The pure half of the site: index pages, the dashboard, what stands around a note, what private notes leave behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kb.library import Library
from kb.listing import PAGE_SIZE, summary, tag_uri
from kb.note import Note
from kb.pages import dashboard, generated_pages, nav, note_context, src_uri, visible
from kb.public import PublicLibrary


def library(root: Path, notes: dict[str, str]) -> PublicLibrary:
    for name, text in notes.items():
        path = root / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "mkdocs.yml").write_text("site_name: x\n")
    return visible(Library(root))


def note(title: str, body: str = "", **keys: str) -> str:
    return f"---\ntitle: {title}\n{''.join(f'{k}: {v}' + chr(10) for k, v in keys.items())}---\n\n{body}\n"


def test_every_state_tag_kind_and_year_has_a_page(tmp_path: Path) -> None:
    public = library(tmp_path, {
        "papers/a.md": note("A", status="reading", year="2020", tags="[x, ml/deep]"),
        "posts/b.md": note("B", status="read", finished="2024-05-06", tags="[X]"),
    })  # fmt: skip
    pages = generated_pages(public)
    assert {f"status/{s}.md" for s in ("inbox", "to-read", "reading", "read", "dropped")} <= pages.keys()
    assert {"tags/x.md", "tags/ml.md", "tags/ml/deep.md", "kinds/paper.md", "kinds/post.md"} <= pages.keys()
    assert {"years/2020.md", "years/none.md", "tags/index.md", "kinds/index.md", "topics/index.md"} <= pages.keys()
    assert 'href="../papers/a.md">A</a>' in pages["tags/x.md"] and 'href="../posts/b.md">B</a>' in pages["tags/x.md"]
    assert 'href="../../papers/a.md"' in pages["tags/ml/deep.md"]
    assert "B</a>" in pages["status/read.md"] and "A</a>" not in pages["status/read.md"]
    assert all('search: {"exclude": true}' in text for text in pages.values())


def test_an_empty_vault_has_pages_that_say_so(tmp_path: Path) -> None:
    public = library(tmp_path, {"index.md": note("Home")})
    assert "kb add" in dashboard(public)
    assert all("kb-empty" in text for uri, text in generated_pages(public).items() if uri != "status/x.md")


@pytest.mark.parametrize(
    "tags", [("C++", "C", "c#"), ("a/b", "a-b"), ("index", "Index!"), ("扩散", "模型", "!!"), ("x y", "x-y", "x_y")]
)
def test_tags_that_differ_have_pages_that_differ(tags: tuple[str, ...]) -> None:
    uris = [tag_uri(tag) for tag in tags]
    assert len(set(uris)) == len(uris) and "tags/index.md" not in uris


def test_tags_that_differ_in_case_alone_are_one(tmp_path: Path) -> None:
    public = library(
        tmp_path, {f"papers/{n}.md": note(n, tags=f"[{t}]") for n, t in (("a", "NLP"), ("b", "nlp"), ("c", "NLP"))}
    )
    assert generated_pages(public)["tags/index.md"].count("<li") == 1
    assert 'title: "NLP"' in generated_pages(public)["tags/nlp.md"]


def test_long_listings_are_cut_into_pages(tmp_path: Path) -> None:
    public = library(tmp_path, {f"papers/n{i:03}.md": note(f"N{i:03}", status="inbox") for i in range(PAGE_SIZE + 5)})
    pages = generated_pages(public)
    first, second = pages["status/inbox.md"], pages["status/inbox/page.2.md"]
    assert first.count('class="kb-row"') == PAGE_SIZE and second.count('class="kb-row"') == 5
    assert 'href="inbox/page.2.md"' in first and 'href="../inbox.md"' in second and 'href="../../papers/' in second


def test_titles_are_html_only_where_they_should_be(tmp_path: Path) -> None:
    public = library(
        tmp_path, {"papers/a.md": note("'<script>x</script> & \"y\"'", authors="['A <b> B']", tags="['<i>']")}
    )
    for text in (*generated_pages(public).values(), dashboard(public)):
        assert "<script>" not in text and "<b> B" not in text and "<i>" not in text


def test_the_dashboard_says_where_to_go_on_and_what_is_next(tmp_path: Path) -> None:
    public = library(tmp_path, {
        "papers/a.md": note("A", "See [[c]].", status="reading", at="35:38", started="2025-01-02"),
        "papers/b.md": note("B", status="to-read", added="2025-03-01"),
        "papers/c.md": note("C", status="to-read", added="2025-01-01"),
        "papers/d.md": note("D", status="read", finished="2025-02-02"),
        "topics/t.md": note("T", "About [[a]] and [[b]]."),
    })  # fmt: skip
    html = dashboard(public)
    assert "at 35:38" in html and 'datetime="2025-02-02"' in html and "2 linked notes" in html
    following = html[html.index("Next up") :]
    assert following.index(">B<") < following.index("Recently")
    assert "<b>2</b><span>to read</span>" in html


def test_what_most_notes_link_to_is_next(tmp_path: Path) -> None:
    notes = {f"papers/{n}.md": note(n, status="to-read", added=f"2025-01-0{i}") for i, n in enumerate("xyz", 1)}
    public = library(tmp_path, notes | {"topics/t.md": note("T", "[[x]]"), "topics/u.md": note("U", "[[x]], [[y]]")})
    html = dashboard(public)
    order = [html.index(f'"papers/{n}.md"') for n in "xyz"]
    assert order == sorted(order)


def test_a_note_s_surroundings(tmp_path: Path) -> None:
    public = library(tmp_path, {
        "papers/ddpm.md": note("Denoising Models", authors="[Jonathan Ho, Ajay Jain]", year="2020", doi="10.1000/x",
                               arxiv="'2006.11239'", tags="[a/b]", part_of="course", status="reading"),
        "courses/course.md": note("Course"),
        "papers/b.md": note("B", "First [[ddpm]] here. Then\n[[Denoising Models]] there.\n\nFirst [[ddpm]] here."),
    })  # fmt: skip
    context = note_context(public, public.notes["notes/papers/ddpm.md"])
    assert context["byline"] == "Jonathan Ho, Ajay Jain" and context["year_uri"] == "years/2020.md"
    assert [i["url"] for i in context["ids"]] == ["https://arxiv.org/abs/2006.11239", "https://doi.org/10.1000/x"]
    assert context["part_of"] == {"title": "Course", "uri": "courses/course.md"}
    assert context["tags"] == [{"name": "a/b", "uri": "tags/a/b.md"}]
    (link,) = context["backlinks"]
    assert link["uri"] == "papers/b.md" and len(link["contexts"]) == 2 and "First ddpm here." in link["contexts"][0]
    assert "@" in context["bibtex"] and "ho2020denoising" in context["bibtex"]
    course = note_context(public, public.notes["notes/courses/course.md"])
    assert [p["uri"] for p in course["parts"]] == ["papers/ddpm.md"]


SECRET = """---
title: Codename Nightjar
private: true
aliases: [nightjar-alias]
tags: [clandestine]
year: 1987
---

[[open]]
"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[[secret]]", "private note"),
        ("[[secret|the plan]]", "the plan"),
        ("[[secret|see codename  nightjar!]]", "private note"),
        ("[[Codename Nightjar#part|x]]", "x"),
        ("[[nightjar-alias]]", "private note"),
        ("![[secret]]", "private note"),
        ("| [[secret\\|cell]] |", "cell"),
        ("[text](secret.md)", "text"),
        ("[Codename Nightjar](../topics/secret.md#a)", "private note"),
        ("[ref][r]\n\n[r]: secret.md", "[ref][r]"),
        ('<a href="../secret/">raw</a>', "<a >raw</a>"),
        ("`[[secret]]`", "`private note`"),
        ("<!-- [[secret]] -->", "<!-- private note -->"),
        ("```\n[[secret]]\n```", "private note"),
    ],
)
def test_links_to_private_notes_leave_no_name(tmp_path: Path, text: str, shown: str) -> None:
    public = library(tmp_path, {"topics/secret.md": SECRET, "topics/open.md": note("Open", text)})
    found = public.notes["notes/topics/open.md"]
    assert shown in found.body
    for trace in ("secret", "nightjar"):
        assert trace not in found.body.lower(), found.body
        assert all(trace not in (link.target + link.label + link.context).lower() for link in found.links)


def test_private_notes_leave_no_pages_links_or_tags(tmp_path: Path) -> None:
    public = library(tmp_path, {
        "topics/secret.md": SECRET,
        "papers/open.md": note("Open", "Before [[secret]] the [[other]] stands.", part_of="secret", at="'[[secret]]'"),
        "papers/other.md": note("Other"),
    })  # fmt: skip
    open_note, other = public.notes["notes/papers/open.md"], public.notes["notes/papers/other.md"]
    told = repr(
        [generated_pages(public), dashboard(public), note_context(public, open_note), note_context(public, other)]
    )
    for trace in ("secret", "nightjar", "clandestine", "1987"):
        assert trace not in told.lower()
    assert note_context(public, other)["backlinks"][0]["contexts"] == ["Before private note the other stands."]
    assert note_context(public, open_note)["backlinks"] == []


def test_assets_that_only_private_notes_show_are_private(tmp_path: Path) -> None:
    public = library(
        tmp_path, {"topics/secret.md": SECRET + "![[a.png]] ![](b.png)", "papers/x.md": note("X", "![](../b.png)")}
    )
    assert public.private_assets(["topics/a.png", "b.png", "unused.png"]) == {"topics/a.png"}


def test_the_menu_holds_index_pages_and_the_guide() -> None:
    assert nav([])[0] == {"Home": "index.md"} and nav(["guide/a.md"])[-1] == {"Guide": ["guide/a.md"]}
    assert all("Guide" not in item for item in nav([]))


def test_a_summary_is_the_first_prose() -> None:
    def of(body: str) -> str:
        return summary(Note("a", "notes/a.md", {}, body))

    assert (
        of("# Title\n\n- [ ] list\n\n```py\nx\n```\n\nThe *first* [[a|words]].\nMore.\n\nLast.")
        == "The first words. More."
    )
    assert of("") == "" and len(of("word " * 200)) < 245 and of("$$\nx\n$$\n\ny") == "y"


def test_paths_are_those_under_notes() -> None:
    assert src_uri(Note("a", "notes/papers/a.md", {}, "")) == "papers/a.md"


def test_pages_need_no_mkdocs_typer_nor_torch() -> None:
    code = (
        "import sys, kb.pages; print(sorted({'mkdocs', 'markdown', 'typer', 'torch', 'jinja2'} & sys.modules.keys()))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )

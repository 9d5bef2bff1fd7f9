"""The pure half of the site: index pages, the dashboard, what stands around a note, what private notes leave behind."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kb.library import Library
from kb.note import Note
from kb.pages import dashboard, generated_pages, nav, note_context, src_uri, visible
from kb.pages.listing import PAGE_SIZE, summary, tag_uri
from kb.pages.public import PublicLibrary
from kb.verbs.status import dashboard as morning


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
    assert (
        link["uri"] == "papers/b.md"
        and len(link["contexts"]) == 2
        and link["contexts"][0] == "First Denoising Models here."
    )
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
    assert note_context(public, other)["backlinks"][0]["contexts"] == ["Before private note the Other stands."]
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


# What a front page and the terminal both show


def listed(html: str, title: str) -> list[str]:
    """The titles of the rows under a heading of the front page."""
    found = re.search(rf"<h2>(?:<a[^>]*>)?{title}(?:</a>)?</h2>(.*?)</section>", html, re.S)
    return re.findall(r'class="kb-row__title"[^>]*>([^<]*)<', found[1]) if found else []


def imported(title: str, line: int, **keys: str) -> str:
    return note(title, added="2026-01-02", imported=f"['list.md:{line}']", **keys)


def test_the_front_page_and_the_terminal_have_one_order(tmp_path: Path) -> None:
    reading = {f"papers/r{i}.md": note(f"R{i}", status="reading", started=f"2025-01-{i:02}") for i in range(1, 9)}
    waiting = {f"papers/w{i:02}.md": imported(f"W{i:02}", 20 - i, status="to-read") for i in range(1, 12)}
    notes = {
        "papers/aa.md": note("Undated", status="reading"),
        "topics/t.md": imported("A topic", 1, status="to-read"),
        "papers/hidden.md": note("Hidden", status="to-read", rating="5", private="true"),
    }
    public = library(tmp_path, reading | waiting | notes)
    html = dashboard(public)
    terminal = morning(Library(tmp_path), today=date(2026, 1, 3))
    assert [row["title"] for row in terminal["reading"]] == [*(f"R{i}" for i in range(8, 0, -1)), "Undated"]
    assert listed(html, "Reading now") == [f"R{i}" for i in range(8, 0, -1)]
    assert [row["title"] for row in terminal["next"]] == ["Hidden", "W11", "W10", "W09", "W08"]
    assert listed(html, "Next up") == ["W11", "W10", "W09", "W08", "W07", "W06"]
    assert [row["title"] for row in terminal["recent"]][:3] == ["W11", "W10", "W09"]
    assert listed(html, "Recently added") == ["W11", "W10", "W09", "W08", "W07", "W06"]
    assert '<a href="status/reading.md">All 9</a>' in html and '<a href="status/to-read.md">All 12</a>' in html


def test_a_list_that_is_shown_whole_has_no_more(tmp_path: Path) -> None:
    html = dashboard(library(tmp_path, {"papers/a.md": note("A", status="reading")}))
    assert listed(html, "Reading now") == ["A"] and "All " not in html


def test_topics_that_tie_most_together_come_first_and_tell_what(tmp_path: Path) -> None:
    public = library(tmp_path, {
        "papers/a.md": note("Alpha"), "papers/b.md": note("Beta"),
        "topics/few.md": note("A few", "Words of its own, with [[a]]."),
        "topics/many.md": note("Many", "- [[b]]\n- [[a]]\n- [[b]]"),
        "topics/none.md": note("None"),
    })  # fmt: skip
    html = dashboard(public)
    order = [html.index(f">{title}</a></h3>") for title in ("Many", "A few", "None")]
    assert order == sorted(order)
    assert '<p>Beta · Alpha</p><span class="kb-n">2 linked notes</span>' in html
    assert "<p>Words of its own, with a.</p>" in html and html.count("<p>") == 2


# Around a note


def context_of(public: PublicLibrary, path: str) -> dict[str, Any]:
    return note_context(public, public.notes[f"notes/{path}"])


def test_a_whole_lists_only_the_parts_that_its_text_does_not(tmp_path: Path) -> None:
    public = library(tmp_path, {
        "courses/c.md": note("Course", "1. [[one]]\n2. [[two|the second]]"),
        **{f"talks/{n}.md": note(n.title(), part_of="c") for n in ("one", "two", "three")},
    })  # fmt: skip
    course = context_of(public, "courses/c.md")
    assert [part["title"] for part in course["parts"]] == ["Three"] and course["parts_in_text"] == 2
    assert context_of(public, "talks/one.md")["backlinks"] == []  # its whole stands above its title
    (link,) = context_of(public, "talks/two.md")["backlinks"]
    assert link["contexts"] == ["the second"]


def test_the_sentence_of_a_backlink_names_notes_by_their_titles(tmp_path: Path) -> None:
    public = library(tmp_path, {
        "papers/x.md": note("The X paper"),
        "papers/y.md": note("Y"),
        "topics/t.md": note("T", "- [[x]]\n- Read [[x]] after [[y]], not `[[x]]`.\n- [[x|that one]] again"),
    })  # fmt: skip
    (link,) = context_of(public, "papers/x.md")["backlinks"]
    assert link["contexts"] == ["Read The X paper after Y, not x.", "that one again"]
    assert public.notes["notes/topics/t.md"].links[0].target == "x"


@pytest.mark.parametrize(
    ("keys", "has"),
    [
        ({}, False),
        ({"url": "https://x.org"}, False),
        ({"year": "2020"}, True),
        ({"arxiv": "'2006.11239'"}, True),
        ({"authors": "[A B]"}, True),
        ({"kind": "post", "year": "2020"}, False),
        ({"kind": "post", "authors": "[A B]"}, True),
    ],
)
def test_bibtex_is_offered_where_a_bibliography_could_use_it(tmp_path: Path, keys: dict[str, str], has: bool) -> None:
    public = library(tmp_path, {"papers/a.md": note("A", **keys)})
    assert bool(context_of(public, "papers/a.md")["bibtex"]) is has


def test_where_a_work_was_seen_is_told(tmp_path: Path) -> None:
    long = f"https://lnkd.in/{'x' * 60}"
    public = library(tmp_path, {"papers/a.md": note("A", seen=f"[https://www.x.com/a/1/, {long}]")})
    assert context_of(public, "papers/a.md")["seen"] == [
        {"name": "x.com/a/1", "url": "https://www.x.com/a/1/"},
        {"name": f"lnkd.in/{'x' * 39}…", "url": long},
    ]

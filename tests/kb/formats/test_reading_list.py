"""Reading lists as other people write them, and what a careful librarian would file of each line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kb.formats.items import Item
from kb.formats.reading_list import read_reading_list

LISTS = Path(__file__).parents[2] / "data" / "lists"


def body(item: Item) -> str:
    parts = (p if isinstance(p, str) else f"{p.indent}{p.marker} <{p.item.title}>" for p in item.body)
    return "\n".join(parts).strip("\n")


def row(item: Item) -> dict[str, Any]:
    found: dict[str, Any] = {"title": item.title, "kind": item.kind}
    found |= {k: v for k, v in item.meta.items() if v not in ("", [], None) and k != "incomplete"}
    if item.part_of:
        found["part_of"] = item.part_of.title
    return found | ({"body": body(item)} if body(item) else {})


def works(text: str) -> list[dict[str, Any]]:
    """What a list files beside its topics."""
    return [row(item) for item in read_reading_list(text, "list.md").items if item.kind != "topic"]


def whole(text: str) -> str:
    return body(read_reading_list(text, "list.md").items[0])


U = "https://example.org/x"
LINES = [
    # titles and links
    (f"- [ ] Kelp Forests: {U}", {"title": "Kelp Forests", "kind": "post", "url": U, "status": "to-read"}),
    (f"* [x] Kelp Forests - <{U}>", {"title": "Kelp Forests", "kind": "post", "url": U, "status": "read"}),
    (f"1. [Kelp Forests]({U})", {"title": "Kelp Forests", "kind": "post", "url": U}),
    (f"2) **[Kelp Forests]({U})**: tall", {"title": "Kelp Forests", "kind": "post", "url": U, "body": "tall"}),
    (f'- [Kelp]({U} "All of it")', {"title": "Kelp", "kind": "post", "url": U, "body": "All of it"}),
    (f"- [Kelp][k]\n\n[k]: {U}", {"title": "Kelp", "kind": "post", "url": U}),
    (f"- [Kelp][]\n\n[kelp]: <{U}>", {"title": "Kelp", "kind": "post", "url": U}),
    (f"- Kelp[^1]\n\n[^1]: {U}", {"title": "Kelp", "kind": "post", "url": U}),
    ("- [ ] Kelp[^a]\n\n[^a]: Ask Mo.", {"title": "Kelp", "kind": "paper", "status": "to-read", "body": "Ask Mo."}),
    (f'- <a href="{U}">Kelp</a> is <b>tall</b>', {"title": "Kelp", "kind": "post", "url": U, "body": "is <b>tall</b>"}),
    (f"- [ ] Kelp<br>{U}", {"title": "Kelp", "kind": "post", "url": U, "status": "to-read"}),
    (f"- Salt &amp; Sea {U}", {"title": "Salt & Sea", "kind": "post", "url": U}),
    (f"<li>Kelp: {U}</li>", {"title": "Kelp", "kind": "post", "url": U}),
    (f"📄 [Kelp]({U})", {"title": "Kelp", "kind": "post", "url": U}),
    (f"- {U}", {"title": "example.org/x", "kind": "post", "url": U}),
    (f"- **Kelp Forests** — a survey — {U}", {"title": "Kelp Forests", "kind": "post", "url": U, "body": "a survey"}),
    (f"- [Link]({U}): Kelp", {"title": "Kelp", "kind": "post", "url": U}),
    (f"- Kelp ([link]({U}))", {"title": "Kelp", "kind": "post", "url": U}),
    (f"- Book: Kelp {U}", {"title": "Kelp", "kind": "book", "url": U}),
    # ids without URLs
    ("- arXiv:1903.00003", {"title": "arXiv 1903.00003", "kind": "paper", "arxiv": "1903.00003"}),
    ("- Kelp arXiv 1706.03762v5", {"title": "Kelp", "kind": "paper", "arxiv": "1706.03762"}),
    ("- 1904.00004v2", {"title": "arXiv 1904.00004", "kind": "paper", "arxiv": "1904.00004"}),
    ("- [1706.03762] Kelp Forests", {"title": "Kelp Forests", "kind": "paper", "arxiv": "1706.03762"}),
    ("- doi:10.1000/xyz123", {"title": "DOI 10.1000/xyz123", "kind": "paper", "doi": "10.1000/xyz123"}),
    ("- Kelp. 10.1234/abcd.5678.", {"title": "Kelp", "kind": "paper", "doi": "10.1234/abcd.5678"}),
    (
        "- [[pdf]](https://arxiv.org/pdf/2001.00001) Kelp (NeurIPS 2019)",
        {"title": "Kelp", "kind": "paper", "venue": "NeurIPS", "year": 2019, "arxiv": "2001.00001",
         "pdf": "https://arxiv.org/pdf/2001.00001"},
    ),
    (
        f"- Kelp Nets [pdf]({U}.pdf) [code](https://github.com/a/kelp)",
        {"title": "Kelp Nets", "kind": "paper", "pdf": f"{U}.pdf", "code": "https://github.com/a/kelp"},
    ),
    # authors, years, venues
    ("- Kelp by Ada Lund (1980)", {"title": "Kelp", "kind": "paper", "authors": ["Ada Lund"], "year": 1980}),
    (
        f'- Lund et al., "The Tall Kelp", NeurIPS 2020, {U}',
        {"title": "The Tall Kelp", "kind": "paper", "venue": "NeurIPS", "year": 2020, "url": U, "body": "Lund et al."},
    ),
    (
        "- Lund, A., & Mohr, B. (2015). Kelp in depth. *Sea*, 12(3). https://doi.org/10.1000/k.1",
        {"title": "Kelp in depth", "kind": "paper", "authors": ["A. Lund", "B. Mohr"], "year": 2015,
         "doi": "10.1000/k.1", "body": "*Sea*, 12(3)."},
    ),
    (f"- (2019) Kelp. {U}", {"title": "Kelp", "kind": "post", "year": 2019, "url": U}),
    (f"- [ICLR 2021] Kelp {U}", {"title": "Kelp", "kind": "post", "year": 2021, "venue": "ICLR", "url": U}),
    # marks
    (f"- [x] Kelp {U} (2024-11-02)",
     {"title": "Kelp", "kind": "post", "url": U, "status": "read", "finished": "2024-11-02"}),
    (f"- [ ] 2025-03-04 [Kelp]({U})",
     {"title": "Kelp", "kind": "post", "url": U, "status": "to-read", "body": "2025-03-04"}),
    ("- [x] Kelp ✅ 2024-05-01", {"title": "Kelp", "kind": "paper", "status": "read", "finished": "2024-05-01"}),
    (f"- Kelp {U} (read 2025-01-02)",
     {"title": "Kelp", "kind": "post", "url": U, "status": "read", "finished": "2025-01-02"}),
    (
        f"- Kelp {U} (finished 2025-01-02)",
        {"title": "Kelp", "kind": "post", "url": U, "status": "read", "finished": "2025-01-02"},
    ),
    (f"- Kelp {U} (in progress)", {"title": "Kelp", "kind": "post", "url": U, "status": "reading"}),
    (f"- [ ] Kelp {U} #sea #plants",
     {"title": "Kelp", "kind": "post", "url": U, "status": "to-read", "tags": ["sea", "plants"]}),
    (f"- [x] Kelp - {U} - 4/5", {"title": "Kelp", "kind": "post", "url": U, "status": "read", "rating": 4}),
    (f"- [x] Kelp {U} ★★★☆☆", {"title": "Kelp", "kind": "post", "url": U, "status": "read", "rating": 3}),
    (f"- !! P1 [Kelp]({U})", {"title": "Kelp", "kind": "post", "url": U, "body": "!! P1"}),
    (f"- ⭐ [Kelp]({U})", {"title": "Kelp", "kind": "post", "url": U, "body": "⭐"}),
    (f"- ~~Kelp~~ {U}", {"title": "Kelp", "kind": "post", "url": U, "status": "dropped"}),
    ("- [x] ~~Kelp~~", {"title": "Kelp", "kind": "paper", "status": "read"}),
    ("- [/] Kelp", {"title": "Kelp", "kind": "paper", "status": "reading"}),
    ("- [-] Kelp", {"title": "Kelp", "kind": "paper", "status": "dropped"}),
    (f"[ ] Kelp {U}", {"title": "Kelp", "kind": "post", "url": U, "status": "to-read"}),
    (f"- [] Kelp {U}", {"title": "Kelp", "kind": "post", "url": U, "status": "to-read"}),
    (f"☑ Kelp {U}", {"title": "Kelp", "kind": "post", "url": U, "status": "read"}),
    ("- [x] 深度学习", {"title": "深度学习", "kind": "paper", "status": "read"}),
    ("- [ ] Глубокое обучение", {"title": "Глубокое обучение", "kind": "paper", "status": "to-read"}),
    # videos
    ("- [ ] Kelp: https://youtu.be/abcdefghijk?t=90",
     {"title": "Kelp", "kind": "talk", "video": "https://www.youtube.com/watch?v=abcdefghijk", "at": "1:30",
      "seen": ["https://youtu.be/abcdefghijk?t=90"], "status": "to-read"}),
    ("- Kelp: https://www.youtube.com/playlist?list=PLabc",
     {"title": "Kelp", "kind": "course", "url": "https://www.youtube.com/playlist?list=PLabc"}),
    # what is nested
    (f"- [ ] Kelp\n  - {U}\n  - Slides: {U}/s\n  - Authors: Ada Lund, Bo Mohr\n  - Year: 2014\n  - tall\n    - very",
     {"title": "Kelp", "kind": "post", "url": U, "slides": f"{U}/s", "authors": ["Ada Lund", "Bo Mohr"], "year": 2014,
      "status": "to-read", "body": "- tall\n  - very"}),
    ("- [ ] Kelp\n  - [x] Chapter 1\n  - [x] Chapter 2\n  - [ ] Chapter 3",
     {"title": "Kelp", "kind": "paper", "status": "reading", "at": "Chapter 2",
      "body": "- [x] Chapter 1\n- [x] Chapter 2\n- [ ] Chapter 3"}),
    (f"- Kelp {U}\n\n  More words.", {"title": "Kelp", "kind": "post", "url": U, "body": "More words."}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LINES, ids=[text.split("\n")[0][:50] for text, _ in LINES])
def test_an_item(text: str, expected: dict[str, Any]) -> None:
    assert works(text) == [expected]
    assert works(text.replace("\n", "\r\n").replace("    ", "\t")) == [expected]
    read = read_reading_list(text, "list.md")
    claimed = read.structure | {no for item in read.items for no in item.lines}
    assert claimed == {n for n, line in enumerate(text.split("\n"), 1) if line.strip()}


@pytest.mark.parametrize(
    "text",
    [
        "- a remark about tides",
        "- TODO",
        "- [[some-note]]",
        "- [[some-note|A note]] and more",
        f"![tide]({U}.png)",
        f"> a quote with [a link]({U})",
        f"```\n- [ ] Kelp {U}\n```",
        f"| Kelp | {U} |\n|---|---|\n| a | b |",
        f"Kelp | Link\n--- | ---\nTall | {U}",
        f"<!-- later: {U} -->",
        f"It is said that kelp grows half a metre in a day, as [a page]({U}) tells, and that its forests are homes to "
        "more kinds of fish than anyone has so far counted.",
    ],
)
def test_what_names_no_work_stays_with_the_list(text: str) -> None:
    assert works(text) == []
    assert whole(text) == text.replace("![tide]", "[tide]")


def test_a_definition_that_nothing_uses_is_an_item() -> None:
    assert works(f"Words.\n\n[kelp page]: {U}") == [{"title": "kelp page", "kind": "post", "url": U}]


def test_a_title_over_its_link_keeps_what_is_nested_there() -> None:
    assert works(f"Kelp\n- {U}\n  - tall\n- brown") == [
        {"title": "Kelp", "kind": "post", "url": U, "body": "- tall\n- brown"}
    ]


def test_a_heading_decides_about_bare_names() -> None:
    text = (
        "## 📚 Books\n- Salt Flour Water\n- look at the index\n## Papers\n"
        "- Kelp: A Very Long Title Indeed About Plants\n"
        "- Ask Bo about this.\n## Done\n- Laundry\n"
        "## Read\n- Tides\n## Currently reading:\n- Waves\n## Plants\n- Kelp two"
    )
    assert works(text) == [
        {"title": "Salt Flour Water", "kind": "book"},
        {"title": "Kelp: A Very Long Title Indeed About Plants", "kind": "paper"},
        {"title": "Tides", "kind": "paper", "status": "read"},
        {"title": "Waves", "kind": "paper", "status": "reading"},
    ]
    assert "- look at the index" in whole(text) and "- Ask Bo about this." in whole(text)


def test_headings_of_all_sorts_are_topics() -> None:
    text = f"Sea\n===\n\nIntro.\n\nPlants\n------\n\n- [Kelp]({U})\n\n## 海\n\n- [Wave]({U}/w)\n\n"
    text += f"## [Fish]({U}/f)\n\nFins."
    items = read_reading_list(text, "list.md").items
    assert [(item.title, item.kind, item.meta.get("tags", [])) for item in items] == [
        ("Sea", "topic", []),
        ("Plants", "topic", []),
        ("Kelp", "post", ["plants"]),
        ("海", "topic", []),
        ("Wave", "post", ["海"]),
        ("Fish", "post", []),
    ]
    assert body(items[0]) == "Intro.\n- <Plants>\n- <海>\n- <Fish>"
    assert body(items[-1]) == "Fins."


def test_a_group_is_no_work_and_its_parts_are() -> None:
    text = f"## Papers\n- Plants\n  - [Kelp]({U}/1)\n  - [Wrack]({U}/2)\n    - red\n- Tides"
    assert [w["title"] for w in works(text)] == ["Kelp", "Wrack", "Tides"]
    assert whole(text) == "- Plants\n  - <Kelp>\n  - <Wrack>\n- <Tides>"


def test_folded_html_leaves_no_tag_behind() -> None:
    text = f"# Sea\n<details>\n<summary>Plants</summary>\n\n- [Kelp]({U})\n\n</details>\n\nAfterwards."
    read = read_reading_list(text, "list.md")
    assert [(i.title, body(i)) for i in read.items] == [
        ("Sea", "- <Plants>\n\nAfterwards."), ("Plants", "- <Kelp>"), ("Kelp", ""),
    ]  # fmt: skip
    assert read.structure == {2, 7}


def test_front_matter_belongs_to_the_list() -> None:
    text = f"---\ntitle: Tides\ntags: [sea, '#salt']\nsource: {U}\n---\n# Sea\n- [Kelp]({U}/k)\n"
    item = read_reading_list(text, "list.md").items[0]
    assert row(item) == {
        "title": "Sea", "kind": "topic", "tags": ["sea", "salt"], "aliases": ["Tides"],
        "body": f"- <Kelp>\n\n```yaml\ntitle: Tides\ntags: [sea, '#salt']\nsource: {U}\n```",
    }  # fmt: skip
    assert sorted(item.lines) == [1, 2, 3, 4, 5, 6]
    assert [i.title for i in read_reading_list(f"---\n# Sea\n---\n- {U}", "l.md").items] == ["Sea", "example.org/x"]


def test_words_that_lead_over_to_items_stay_between_them() -> None:
    text = f"1. [Kelp]({U})\nThese are more pages to look at when there is time left:\n\n"
    text += f"📌 [Wrack]({U}/2)\n\n📌 [Tide]({U}/3)"
    assert whole(text) == "1. <Kelp>\n\nThese are more pages to look at when there is time left:\n- <Wrack>\n- <Tide>"


@pytest.mark.parametrize("text", ["", "\n\n", "# Only\n## Headings\n", "   ", "\ufeff"])
def test_nothing_much_is_read_too(text: str) -> None:
    assert [item.kind for item in read_reading_list(text, "x.md").items if item.kind != "topic"] == []


def test_a_line_may_be_very_long() -> None:
    text = f"- [ ] Kelp {U} " + "long " * 20_000
    (kelp,) = works(text)
    assert kelp["title"] == "Kelp" and len(kelp["body"]) == 99_999


def test_a_todo_above_a_list_is_no_heading() -> None:
    text = f"# Tides\n\nTODO: sort these\n\n- [ ] [Kelp]({U})\n"
    assert [(i["title"], i.get("tags")) for i in works(text)] == [("Kelp", None)]
    assert whole(text) == "TODO: sort these\n- <Kelp>"


def test_a_link_in_brackets_leaves_no_bracket() -> None:
    (kelp,) = works(f"- [ ] [2017] All About Kelp ({U})")
    assert (kelp["title"], kelp["year"]) == ("All About Kelp", 2017)


def test_progress_under_the_label_of_a_course_is_the_course_s() -> None:
    items = read_reading_list(f"CS 77\n- Lecture 1: {U}\n- Lecture 1 and 2 done\n", "l.md").items
    course = next(item for item in items if item.kind == "course")
    assert (course.meta["at"], course.meta["status"]) == ("Lecture 1 and 2 done", "reading")

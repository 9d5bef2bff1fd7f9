"""What `kb check` finds, where, in which words; and what `--fix` mends."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path

import pytest

from kb.checks import check, quick
from kb.checks.fix import fix
from kb.checks.report import render
from kb.files import Journal
from kb.library import Library
from kb.problem import KbError, Problem

TODAY = date(2026, 3, 1)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path


def write(vault: Path, path: str, text: str) -> Path:
    file = vault / "notes" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


def note(vault: Path, path: str, body: str = "", **meta: object) -> None:
    keys = "".join(f"{key}: {value}\n" for key, value in ({"title": Path(path).stem.title()} | meta).items())
    write(vault, path, f"---\n{keys}---\n{body}")


def found(vault: Path) -> list[str]:
    """Level and text of every Problem, but for the notes of these small vaults that are alone."""
    return [f"{p.level} {p}" for p in check(Library(vault), TODAY) if p.check != "orphan"]


def test_a_clean_vault(vault: Path) -> None:
    note(vault, "index.md", "# Hi\n\n[a](papers/a.md)\n")
    note(vault, "papers/index.md")
    note(vault, "papers/a.md", "## Part\n\n[[b#A part!]] [[#part]] `[[no]]` ![x](a.png)\n", aliases="[AA]")
    note(vault, "talks/b.md", "### A *part*\n\n[[AA]] [web](https://x.org) [mail](mailto:a@b.c)\n", part_of="a")
    (vault / "notes/papers/a.png").touch()
    assert found(vault) == []


# Links


def test_unresolved_links(vault: Path) -> None:
    note(vault, "papers/denoising.md", "\nSee [[densoising]].\n\n- [[nothing like it]]\n- [x](../talks/y.md)\n")
    assert found(vault) == [
        "warning notes/papers/denoising.md:5: link: [[densoising]] leads to no note (did you mean [[denoising]]?)",
        "warning notes/papers/denoising.md:7: link: [[nothing like it]] leads to no note"
        " (write it: kb add REF --title 'nothing like it', or list it under wanted:)",
        "warning notes/papers/denoising.md:8: link: ../talks/y.md leads to no note"
        " (write that file, or list it under wanted:)",
    ]


def test_a_wanted_link_is_information(vault: Path) -> None:
    note(vault, "topics/x.md", "[[2025-08-08-some-file.md]] [[other]]\n", wanted="[2025-08-08-some-file.md]")
    assert found(vault) == [
        "warning notes/topics/x.md:5: link: [[other]] leads to no note"
        " (write it: kb add REF --id other, or list it under wanted:)",
        "info notes/topics/x.md:5: wanted: no note yet for '2025-08-08-some-file.md'"
        " (write it: kb add REF --id 2025-08-08-some-file)",
    ]


def test_an_embedded_figure_is_no_broken_link(vault: Path) -> None:
    note(vault, "papers/x.md", "![[fig.png]] ![[img/two.png]] ![[no.png]]\n")
    (vault / "notes/papers/fig.png").touch()
    (vault / "notes/img").mkdir()
    (vault / "notes/img/two.png").touch()
    assert [line.split(" (")[0] for line in found(vault)] == [
        "warning notes/papers/x.md:4: link: [[no.png]] leads to no file"
    ]


def test_broken_anchors(vault: Path) -> None:
    body = """
# The *Method*: in short {#named}
## Setup
## Setup
```
# not a heading
```
Under
-----
A paragraph. ^block1
<a id="here"></a>
"""
    note(vault, "papers/a.md", body)
    good = ["the-method-in-short", "The Method: in short", "named", "setup_1", "^block1", "here", "Under", "X#Setup"]
    links = "\n".join(f"[[a#{name}]]" for name in good)
    note(vault, "papers/b.md", f"{links}\n[[a#Setups]]\n[x](a.md#not-a-heading)\n[[#own]]\n")
    assert found(vault) == [
        "warning notes/papers/b.md:12: anchor: [[a#Setups]]: no such heading in notes/papers/a.md"
        " (did you mean [[a#Setup]]?)",
        "warning notes/papers/b.md:13: anchor: a.md#not-a-heading: no such heading in notes/papers/a.md"
        " (it has 'The Method: in short', 'Setup', 'Setup_1', 'Under', 'named')",
        "warning notes/papers/b.md:14: anchor: [[#own]]: no such heading in this note (it has no heading)",
    ]


def test_missing_files(vault: Path) -> None:
    body = """
![a](img/a%20b.png) ![gone](gone.png "title") [pdf](<my file.pdf>) [q](x.pdf?raw=1#page=2)
`![code](no.png)` $[x](no)$ [abs](/x.png) [site](https://x.org/a.png) [note](#fn:1)
<img src="gone.svg" width=3>

[ref]: gone.txt
"""
    note(vault, "papers/a.md", body)
    (vault / "notes/papers/img").mkdir()
    (vault / "notes/papers/img/a b.png").touch()
    (vault / "notes/papers/x.pdf").touch()
    hint = "(mend the path, or put the file there)"
    assert found(vault) == [
        f"warning notes/papers/a.md:5: file: there is no file 'gone.png' beside the note {hint}",
        f"warning notes/papers/a.md:5: file: there is no file 'my file.pdf' beside the note {hint}",
        f"warning notes/papers/a.md:7: file: there is no file 'gone.svg' beside the note {hint}",
        f"warning notes/papers/a.md:9: file: there is no file 'gone.txt' beside the note {hint}",
    ]


def test_headings_that_are_there_in_other_words(vault: Path) -> None:
    body = """
> [!note]
> ## In a callout

## C++ & `code` [link](x.md "y") **bold**
## Größe
## What's *new*?
text ^a-block

[[#In a callout]] [[#C++ & code link bold]] [[#grosse]] [[#Größe]] [[#What's new?]] [[#^a-block]] [[#Whats new]]
[a](#in-a-callout) [b](<#größe>) [c](#whats-new "title") [top](#top) [1](#fn:1) `[x](#no)` [y](https://e.org/#z)
[[#Größe und mehr]] [d](#Gr%C3%B6%C3%9Fe) [e](#in-a-callot)
"""
    note(vault, "papers/a.md", body.replace('[link](x.md "y")', "[link](a.md)"))
    note(vault, "papers/b.md", "[[a#claims]]\n[[r#claims]] [[r#Reproduction]] ![[a#^a-block]] ![[a#^b-block]]\n")
    note(vault, "papers/r.md", repro="ddpm")
    assert found(vault) == [
        "warning notes/papers/a.md:15: anchor: #in-a-callot: no such heading in this note"
        " (did you mean #in-a-callout?)",
        "warning notes/papers/a.md:15: anchor: [[#Größe und mehr]]: no such heading in this note"
        " (it has 'In a callout', 'C++ & code link bold', 'Größe', 'What's new?', '^a-block')",
        "warning notes/papers/b.md:4: anchor: [[a#claims]]: no such heading in notes/papers/a.md"
        " (it has 'In a callout', 'C++ & code link bold', 'Größe', 'What's new?', '^a-block')",
        "warning notes/papers/b.md:5: anchor: [[a#^b-block]]: no such heading in notes/papers/a.md"
        " (did you mean [[a#^a-block]]?)",
    ]


def test_capitals_that_break_on_another_disk(vault: Path) -> None:
    body = (
        "![a](img/fig.png) ![b](Img/Fig.PNG) [c](../Talks/B.md) [d](../talks/b.md) ![[FIG.png]] [e](./../papers/a.md)\n"
    )
    note(vault, "papers/a.md", body)
    note(vault, "talks/b.md")
    (vault / "notes/papers/Img").mkdir()
    (vault / "notes/papers/Img/Fig.PNG").touch()
    assert found(vault) == [
        "warning notes/papers/a.md:4: file: there is no file 'img/fig.png' beside the note"
        " (its name is 'Img/Fig.PNG': write it so)",
        "warning notes/papers/a.md:4: link: ../Talks/B.md has other capitals than the file (write ../talks/b.md)",
    ]


def test_attachments_that_are_not_there(vault: Path) -> None:
    note(vault, "papers/a.md", "![[figure-2.png]] [[paper.pdf]] [[img/figure-1.png]]\n")
    (vault / "notes/img").mkdir()
    (vault / "notes/img/figure-1.png").touch()
    assert found(vault) == [
        "warning notes/papers/a.md:4: link: [[figure-2.png]] leads to no file (did you mean [[figure-1.png]]?)",
        "warning notes/papers/a.md:4: link: [[paper.pdf]] leads to no file (put that file under notes/)",
    ]


def test_files_outside_the_notes_are_looked_for_where_they_are(vault: Path) -> None:
    note(
        vault, "papers/a.md", "[a](../../mkdocs.yml) [b](../../none.yml) [c](../../../../../none.yml) [d](../papers/)\n"
    )
    (vault / "mkdocs.yml").touch()
    assert [line.partition("file: ")[2].split(" beside")[0] for line in found(vault)] == [
        "there is no file '../../../../../none.yml'",
        "there is no file '../../none.yml'",
    ]


def test_notes_that_are_alone(vault: Path) -> None:
    note(vault, "papers/alone.md", "[[#own]] see https://e.org\n\n## Own\n")
    note(vault, "papers/from.md", "[[to|x]]\n")
    note(vault, "papers/to.md")
    note(vault, "talks/part.md", part_of="course")
    note(vault, "courses/course.md")
    note(vault, "index.md")
    note(vault, "papers/bare.md", " \n\n")
    alone = [str(p) for p in check(Library(vault), TODAY) if p.check == "orphan"]
    assert alone == [
        "notes/papers/alone.md:0: orphan: no note links to it, and it links to none (link it from a topic)"
    ]
    assert "orphan" not in {p.check for p in quick(Library(vault), TODAY)}


@pytest.mark.parametrize(
    "piece", ['](#a "', '](a "', "](a (", "#a", "{#a", "{: .a #b ", "<a id=", '<img src="', " ^a", "[a]: b "]
)
def test_a_long_line_is_read_in_time(vault: Path, piece: str) -> None:
    """300,000 signs of what begins like a link, a name or an image and never ends: a second where each of them is
    looked at once, and a minute where each is compared with the rest of the line."""
    note(vault, "papers/a.md", f"[[#x]] [y](a.md#z)\n{{{piece * (300_000 // len(piece))}\n")
    begun = time.process_time()
    check(Library(vault), TODAY)
    assert time.process_time() - begun < 10


# Ids and names


def test_two_files_of_one_id(vault: Path) -> None:
    note(vault, "papers/x.md")
    note(vault, "talks/x.md", title="Y")
    assert found(vault) == [
        "error notes/talks/x.md:0: duplicate-id: notes/papers/x.md has the id 'x' too"
        " (rename one: kb rename talks/x NEW-ID)"
    ]


def test_two_notes_of_one_work(vault: Path) -> None:
    note(vault, "papers/a.md", arxiv='"2006.11239"')
    note(vault, "papers/b.md", status="read", url="https://www.arxiv.org/abs/2006.11239v3")
    note(vault, "talks/c.md", video="https://youtu.be/abc", at='"1:00"')
    note(vault, "talks/d.md", video="https://youtu.be/abc", at='"2:00"')
    assert found(vault) == [
        "warning notes/papers/b.md:4: duplicate-work: notes/papers/a.md is about the same work"
        " (url: https://www.arxiv.org/abs/2006.11239v3) (kb merge a b)",
        'info notes/papers/b.md:4: ids: url holds what belongs under arxiv (write arxiv: "2006.11239")',
    ]


def test_works_that_share_a_place_are_not_one(vault: Path) -> None:
    repo = "https://github.com/a/b"
    note(vault, "papers/a.md", arxiv='"2006.11239"', code=repo)
    note(vault, "papers/b.md", arxiv='"2006.11240"', code=repo)
    note(vault, "code/c.md", code=repo)
    note(vault, "papers/d.md", isbn='"9780262035613"')
    note(vault, "papers/e.md", isbn='"9780262035613"')
    assert found(vault) == []
    note(vault, "papers/f.md", also="[https://arxiv.org/abs/2006.11240]")
    assert found(vault) == [
        "warning notes/papers/f.md:3: duplicate-work: notes/papers/b.md is about the same work"
        " (also: arxiv:2006.11240) (kb merge b f)"
    ]


def test_works_that_are_probably_one(vault: Path) -> None:
    title = "Learning to See in the Dark"
    note(vault, "papers/a.md", title=title, authors="[Ann Lee]", year=2018, arxiv='"1805.01934"')
    note(vault, "papers/b.md", title=title.upper(), authors="[A. Lee]", year=2018, venue="CVPR")
    note(vault, "papers/c.md", title=title, authors="[Bo Li]", year=2018)
    note(vault, "papers/d.md", title=title)
    assert found(vault) == [
        "warning notes/papers/b.md:2: duplicate-work: notes/papers/a.md is probably the same work, by title and author"
        " (kb merge a b; if they are two works, give each its doi, arxiv or url)"
    ]
    assert quick(Library(vault), TODAY) == []


def test_ids_that_do_not_belong_together(vault: Path) -> None:
    note(vault, "papers/a.md", arxiv='"2006.11239"', url="https://arxiv.org/abs/2006.11240")
    note(
        vault, "papers/b.md", arxiv='"1706.03762"', url="https://arxiv.org/pdf/1706.03762v2", pdf="https://e.org/x.pdf"
    )
    note(vault, "papers/c.md", doi="10.1000/182", pdf="https://doi.org/10.1000/183")
    note(vault, "papers/d.md", doi="10.48550/arXiv.2402.14905")
    note(vault, "papers/e.md", arxiv="2013.12345")
    assert found(vault) == [
        "warning notes/papers/a.md:4: ids: url leads to https://arxiv.org/abs/2006.11240, and arxiv says 2006.11239"
        " (mend the one that is wrong)",
        "warning notes/papers/c.md:4: ids: pdf leads to https://doi.org/10.1000/183, and doi says 10.1000/182"
        " (mend the one that is wrong)",
        'info notes/papers/d.md:3: ids: doi holds what belongs under arxiv (write arxiv: "2402.14905")',
        "error notes/papers/e.md:3: schema: arxiv: '2013.12345' is not an arXiv id in quotes, like \"2006.11239\""
        ' (write an arXiv id in quotes, like "2006.11239")',
    ]


def test_a_year_that_is_not_that_of_the_ids(vault: Path) -> None:
    arxiv = {"arxiv": '"2006.11239"'}
    note(vault, "papers/a.md", year=2018, **arxiv)
    note(vault, "papers/b.md", year=2022, **arxiv | {"arxiv": '"2006.11238"'})
    for n, more in enumerate(
        ({"venue": "ICML"}, {"doi": "10.1000/182"}, {"published": "2018-05"}, {"acl": "P18-1001"})
    ):
        note(vault, f"papers/c{n}.md", year=2018, arxiv=f'"2006.0000{n}"', **more)
    note(vault, "papers/d.md", year=1998, arxiv="hep-th/9901001", venue="arXiv preprint")
    note(vault, "papers/e.md", year=2016, acl="2020.acl-main.1")
    note(vault, "papers/f.md", year=2022, acl="P20-1001")
    note(vault, "papers/g.md", year=2017, acl="2020.acl-main.2")
    note(vault, "papers/h.md", year=2021, acl="J20-1001")
    note(vault, "papers/i.md", year=2018, published="2020-01-01")
    note(vault, "papers/j.md", year=2019, published="2020")
    note(vault, "papers/k.md", year=1979, acl="P79-1001")
    mend = "(mend the one that is wrong"
    assert found(vault) == [
        f"warning notes/papers/a.md:3: ids: year is 2018, and arxiv 2006.11239 is of 2020 {mend},"
        " or name the venue of that year)",
        f"warning notes/papers/d.md:3: ids: year is 1998, and arxiv hep-th/9901001 is of 1999 {mend},"
        " or name the venue of that year)",
        f"warning notes/papers/e.md:3: ids: year is 2016, and acl 2020.acl-main.1 is of 2020 {mend})",
        f"warning notes/papers/f.md:3: ids: year is 2022, and acl P20-1001 is of 2020 {mend})",
        f"warning notes/papers/i.md:3: dates: year is 2018, and published 2020-01-01 {mend})",
    ]


def test_a_doi_of_another_volume_and_arxiv_s_own_of_another_paper(vault: Path) -> None:
    note(vault, "papers/a.md", doi="10.18653/v1/2020.acl-main.1", acl="2020.acl-main.2")
    note(vault, "papers/b.md", doi="10.18653/v1/P18-1001", acl="P18-1001")
    note(vault, "papers/c.md", doi="10.48550/arXiv.2006.11240", arxiv='"2006.11239"')
    note(vault, "papers/d.md", doi="10.48550/arXiv.1706.03762", arxiv='"1706.03762"')
    note(vault, "papers/e.md", openreview="abc", url="https://openreview.net/forum?id=xyz")
    assert [line.partition(" (")[0] for line in found(vault)] == [
        "warning notes/papers/a.md:3: ids: doi is that of 2020.acl-main.1, and acl says 2020.acl-main.2",
        "warning notes/papers/c.md:3: ids: doi leads to https://arxiv.org/abs/2006.11240, and arxiv says 2006.11239",
        "warning notes/papers/e.md:4: ids: url leads to https://openreview.net/forum?id=xyz, and openreview says abc",
    ]


def test_an_alias_that_stands_twice(vault: Path) -> None:
    note(vault, "papers/x.md", aliases="[One, two, one]")
    assert found(vault) == ["warning notes/papers/x.md:3: alias: alias 'one' stands here twice (take one of them out)"]


def test_aliases_that_lead_astray(vault: Path) -> None:
    note(vault, "papers/a.md", aliases="[b, same, mine]")
    note(vault, "papers/b.md", aliases="[Same]")
    note(vault, "papers/c.md", title="Mine")
    hint = "(choose another alias, or a link may go astray)"
    assert found(vault) == [
        f"warning notes/papers/a.md:3: alias: alias 'b' is the id of notes/papers/b.md {hint}",
        f"warning notes/papers/a.md:3: alias: alias 'mine' is the title of notes/papers/c.md {hint}",
        f"warning notes/papers/b.md:3: alias: alias 'same' is the alias of notes/papers/a.md {hint}",
    ]


def test_parts_of_nothing_and_of_themselves(vault: Path) -> None:
    note(vault, "talks/a.md", part_of="nowhere")
    note(vault, "talks/b.md", part_of="b")
    note(vault, "talks/c.md", part_of="d")
    note(vault, "talks/d.md", part_of='"[[c]]"')
    note(vault, "talks/e.md", part_of="d")
    note(vault, "talks/f.md", part_of="e")
    assert found(vault) == [
        "warning notes/talks/a.md:3: part-of: part_of: 'nowhere' is no note"
        " (name the id of a course, playlist or collection)",
        "error notes/talks/b.md:3: part-of: part_of goes in a circle: b, b (break the circle)",
        "error notes/talks/c.md:3: part-of: part_of goes in a circle: c, d, c (break the circle)",
        "error notes/talks/d.md:3: part-of: part_of goes in a circle: d, c, d (break the circle)",
    ]


def test_a_long_circle_is_told_in_one_line_each(vault: Path) -> None:
    for n in range(30):
        note(vault, f"talks/n{n}.md", part_of=f"n{(n + 1) % 30}")
    note(vault, "talks/tail.md", part_of="n3")
    lines = found(vault)
    assert len(lines) == 30 and "tail" not in str(lines)
    assert lines[0].endswith("part_of goes in a circle: n0, n1, n2, n3, n4, n5, n6, …, n0 (break the circle)")


# Fields


def test_dates_that_contradict(vault: Path) -> None:
    note(vault, "papers/a.md", status="read", started="2025-02-01", finished="2025-01-01")
    note(vault, "papers/b.md", status="to-read", finished="2025-01-01")
    note(vault, "papers/c.md", status="inbox", added="2026-03-02")
    note(vault, "papers/d.md", status="read")
    note(vault, "papers/f.md", year=2062)
    note(vault, "papers/g.md", year=2027)
    note(vault, "papers/e.md", status="reading", added="2026-03-01", published="2027-01-01", started="2025-01-01")
    assert found(vault) == [
        "warning notes/papers/a.md:5: dates: finished 2025-01-01, before it was started (2025-02-01)"
        " (mend one of the two)",
        "warning notes/papers/b.md:4: dates: finished 2025-01-01, and still 'to-read'"
        " (set status: read, or remove the date)",
        "warning notes/papers/c.md:4: dates: added 2026-03-02 lies in the future (mend the date)",
        "warning notes/papers/f.md:3: dates: year 2062 lies in the future (mend the year)",
    ]


def test_dates_that_may_be_meant_are_information(vault: Path) -> None:
    note(vault, "papers/a.md", status="to-read", started="2025-01-01")
    note(vault, "papers/b.md", status="reading")
    note(vault, "papers/c.md", status="reading", imported="[list.md:3]")
    note(vault, "papers/d.md", status="dropped", started="2025-01-01", finished="2025-01-02")
    note(vault, "papers/e.md", status="read", added="2025-05-01", started="2025-01-01", finished="2025-01-02")
    assert found(vault) == [
        "info notes/papers/a.md:4: dates: started 2025-01-01, and still 'to-read'"
        " (set status: reading, or remove the date)",
        "info notes/papers/b.md:3: dates: being read, and no day says since when (write started: and the day)",
    ]


def test_incomplete_notes_are_information(vault: Path) -> None:
    note(vault, "papers/a.md", arxiv='"2006.11239"', incomplete="arxiv")
    assert found(vault) == [
        "info notes/papers/a.md:4: incomplete: what its source says (arxiv) is not fetched yet (kb add --complete)"
    ]


def test_reproductions_that_are_not_there(vault: Path) -> None:
    (vault / "repro/mine").mkdir(parents=True)
    note(vault, "papers/a.md", repro="mine")
    note(vault, "papers/b.md", repro="no_such_paper")
    note(vault, "papers/c.md", repro="../notes")
    hint = "(name a folder of repro/, or remove the key)"
    assert found(vault) == [
        f"warning notes/papers/b.md:3: repro: there is no repro/no_such_paper {hint}",
        f"warning notes/papers/c.md:3: repro: there is no repro/../notes {hint}",
    ]


def test_problems_of_single_files_are_among_them_in_order(vault: Path) -> None:
    note(vault, "papers/b.md", "[[nowhere]]\n", year="soon")
    note(vault, "papers/a.md", "[[nowhere]]\n")
    places = [(p.path, p.line, p.check) for p in check(Library(vault), TODAY)]
    assert places == [
        ("notes/papers/a.md", 4, "link"),
        ("notes/papers/b.md", 3, "schema"),
        ("notes/papers/b.md", 5, "link"),
    ]
    assert quick(Library(vault), TODAY) == check(Library(vault), TODAY)


# Rendering


PROBLEMS = [
    Problem("notes/a,b.md", 3, "link", "100% gone\nreally", "mend: it", "warning"),
    Problem("notes/c.md", 0, "id", "two", "", "error", True),
    Problem("notes/d.md", 1, "wanted", "none yet", "", "info"),
]


def test_renderings() -> None:
    assert render(PROBLEMS[1:]) == "notes/c.md:0: id: two\nnotes/d.md:1: wanted: none yet"
    assert json.loads(render(PROBLEMS, "json"))[1] == {
        "path": "notes/c.md", "line": 0, "check": "id", "message": "two", "level": "error", "fixable": True,
    }  # fmt: skip
    assert render(PROBLEMS, "github").split("\n") == [
        "::warning file=notes/a%2Cb.md,line=3,title=kb link::100%25 gone%0Areally (mend: it)",
        "::error file=notes/c.md,line=1,title=kb id::two",
        "::notice file=notes/d.md,line=1,title=kb wanted::none yet",
    ]
    assert render([], "json") == "[]" and render([]) == ""
    with pytest.raises(KbError, match="no format 'xml'; there are text json github"):
        render([], "xml")


# Fixing


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("---\ntitle: A: B\n---\nx\n", '---\ntitle: "A: B"\n---\nx\n'),
        ("---\r\ntitle: @x: y\r\nyear: 2020\r\n---\r\n", '---\r\ntitle: "@x: y"\r\nyear: 2020\r\n---\r\n'),
        ("---\ntitle: A: B\nvenue: C: D\n# kept\n---\n", '---\ntitle: "A: B"\nvenue: "C: D"\n# kept\n---\n'),
        ("---\ntitle: x\ntags: #ml #vision\n---\n", "---\ntitle: x\ntags: [ml, vision]\n---\n"),
        ("---\ntitle: x\narxiv: 2409.17100  # why\n---\n", '---\ntitle: x\narxiv: "2409.17100"  # why\n---\n'),
        ("---\r\ntitle: x\r\narxiv: 0704.0001\r\n---\r\n", '---\r\ntitle: x\r\narxiv: "0704.0001"\r\n---\r\n'),
        ("---\ntitle: No\nvenue: 1e3\nat: 12:30\n---\n", '---\ntitle: "No"\nvenue: "1e3"\nat: "12:30"\n---\n'),
        ("---\ntitle: #1 in sales\n---\n", '---\ntitle: "#1 in sales"\n---\n'),
        ("---\ntitle: x\npart_of: [[a]] # c\n---\n", '---\ntitle: x\npart_of: "[[a]]" # c\n---\n'),
        ("# Only: text\n\nWords.", '---\ntitle: "Only: text"\n---\n# Only: text\n\nWords.'),
        ("\ufeffwords\r\n", "\ufeff---\r\ntitle: x\r\n---\r\nwords\r\n"),
        ("", "---\ntitle: x\n---\n"),
    ],
)
def test_fixes(vault: Path, before: str, after: str) -> None:
    file = write(vault, "papers/x.md", before)
    fixed = fix(Library(vault))
    assert file.read_bytes().decode() == after
    assert fixed and all(p.fixable for p in fixed)
    assert fix(Library(vault)) == [] and file.read_bytes().decode() == after
    Journal(vault).undo()
    assert file.read_bytes().decode() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tags: [no, ml,  1.10 ,'off']", 'tags: ["no", ml,  "1.10" ,\'off\']'),
        ("aliases:\n  - 017   # of old\n  - b", 'aliases:\n  - "017"   # of old\n  - b'),
        ("bibtex: {number: 01, pages: 12:30}", 'bibtex: {number: "01", pages: "12:30"}'),
        ("aliases:\n- #one\n- [[two]]", 'aliases:\n- "#one"\n- "[[two]]"'),
        ("part_of: [[a]] of it", 'part_of: "[[a]] of it"'),
        ("status: read\nyear: 2020\nstatus:  read", "status: read\nyear: 2020"),
        ("year:\nvenue: A\nyear: 2020", "venue: A\nyear: 2020"),
        ("year: 2020\nvenue: A: B\nat: no\nyear:", 'year: 2020\nvenue: "A: B"\nat: "no"'),
    ],
)
def test_fixes_of_values(vault: Path, before: str, after: str) -> None:
    file = write(vault, "papers/x.md", f"---\ntitle: x\n{before}\n---\nbody\n")
    assert fix(Library(vault))
    assert file.read_text() == f"---\ntitle: x\n{after}\n---\nbody\n"
    assert [p for p in check(Library(vault), TODAY) if p.fixable] == []


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: x\n",
        "---\ntitle: x\nauthors: [a, b\n---\n",
        "---\ntitle: x\nyear: soon\n---\n",
        "---\ntitle: &a x\n---\n",
        "---\nyear: 2020\n---\n",
        "---\ntitle: x\nyear: 2020\nyear: 2021\n---\n",
        "---\ntitle: x\ntags:\n  - a\ntags:\n---\n",
    ],
)
def test_what_needs_a_person_is_left_alone(vault: Path, text: str) -> None:
    file = write(vault, "papers/x.md", text)
    assert check(Library(vault), TODAY)
    assert fix(Library(vault)) == []
    assert file.read_text() == text


def test_bytes_that_are_no_utf8_are_left_alone(vault: Path) -> None:
    file = vault / "notes/x.md"
    file.write_bytes(b"caf\xe9\n")
    assert fix(Library(vault)) == []
    assert file.read_bytes() == b"caf\xe9\n"


def test_all_fixes_are_one_change(vault: Path) -> None:
    write(vault, "papers/a.md", "A\n")
    write(vault, "papers/b.md", "---\ntitle: a: b\n---\n")
    assert [(p.path, p.line, p.check) for p in fix(Library(vault))] == [
        ("notes/papers/a.md", 1, "front-matter"),
        ("notes/papers/b.md", 2, "yaml"),
    ]
    assert Journal(vault).undo()[0].paths == ["notes/papers/a.md", "notes/papers/b.md"]

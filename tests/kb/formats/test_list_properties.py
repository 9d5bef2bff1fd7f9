"""Whatever a list looks like: each line has one fate, no word and no link is lost, a second import changes nothing."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kb.files import Journal
from kb.formats.reading_list import read_reading_list
from kb.ids import identify
from kb.importing import account, apply, plan_import
from kb.library import Library

DAY = date(2026, 3, 1)
EXAMPLES = int(os.environ.get("KB_EXAMPLES", "40"))
SLOW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_WORDS = re.findall(
    r"\w+",
    """amber birch cedar dune ember fjord grove harbor inlet juniper kelp lagoon meadow nectar orchard prairie
    quarry ridge summit tundra upland valley willow yarrow zephyr""",
)
# words of a list that become a key, a status or a link instead of standing in a note
STRUCTURAL = set(
    re.findall(
        r"\w+",
        """paper papers talks talk books book read done todo arxiv doi date https http www com org abs pdf code video
        slides link notes misc finished reading watched started added authors year venue rating toc start end
        internal note ref href summary details""",
    )
)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """No waiting for the disk: these tests pull no plugs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


@contextmanager
def vault() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "notes").mkdir()
        (root / "mkdocs.yml").write_text("site_name: x\n")
        yield root


def files(root: Path) -> dict[str, bytes]:
    found = (p for p in sorted(root.rglob("*")) if p.is_file() and ".kb" not in p.relative_to(root).parts)
    return {str(p.relative_to(root)): p.read_bytes() for p in found}


def bring(root: Path, **lists: str | bytes) -> list[dict[str, object]]:
    data = {f"{name}.md": text if isinstance(text, bytes) else text.encode() for name, text in lists.items()}
    library = Library(root)
    plan = plan_import(library, data, DAY)
    apply(library, plan)
    return [account(file) for file in plan.files]


# A grammar of lists

phrases = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4)
titles = phrases.map(lambda words: " ".join(w.capitalize() for w in words))
remarks = phrases.map(" ".join)
numbers = st.integers(10, 99)
urls = st.one_of(
    numbers.map(lambda n: f"https://arxiv.org/abs/20{n % 12 + 10}.{n:05}"),
    numbers.map(lambda n: f"https://arxiv.org/pdf/19{n % 12 + 10}.{n:05}v2"),
    numbers.map(lambda n: f"https://www.youtube.com/watch?v=abcdefghi{n}&t={n}s"),
    numbers.map(lambda n: f"https://github.com/owner/repo{n}"),
    numbers.map(lambda n: f"https://github.com/owner/repo/blob/main/File{n}.md"),
    numbers.map(lambda n: f"https://twitter.com/someone/status/{n}"),
    numbers.map(lambda n: f"https://doi.org/10.1000/xyz{n}"),
    numbers.map(lambda n: f"https://example.org/some/page-{n}?utm_source=x&id={n}#part"),
)


@st.composite
def named(draw: st.DrawFn) -> str:
    title, url = draw(titles), draw(urls)
    form = draw(
        st.sampled_from(
            [
                "{t}: {u}", "{t} - <{u}>", "[{t}]({u})", '[{t}]({u} "{r}")', "{t}. <{u}>", "<{u}>", "{u}",
                "**[{t}]({u})**",
                "[{t}]({u}): {r}", "{t} {u} ({r})", "[2019] {t}, Publisher. <{u}>", "{t} by Ada Byron (1843) {u}",
                "Byron et al. (1999). {t}. {u}", '<a href="{u}">{t}</a> {r}', "[2020] [Internal] {t} {u}",
                "{r} [{t}]({u}) {r}", "***NOTE:*** [{t}]({u}) (Ada Byron)", "{t} [pdf]({u}) [code](https://github.com/x/y)",
                "{t} {u} #amber", "~~{t}~~ {u}", "{t} ({d}) {u}", "{u} {t} ⭐⭐⭐", "📌 {t}: {u}", "{t}<br>{u}",
                "{t} - {u} and {r} https://example.org/second", "!! {t} {u} P1", "[[{r}]] {t} {u}", "![{t}]({u})",
            ]
        )
    )  # fmt: skip
    return form.format(t=title, u=url, r=draw(remarks), d="2024-05-06")


lines = st.one_of(named(), named(), titles, remarks.map(lambda r: f"{r}."), st.just("TODO"), st.just(""))
boxes = st.sampled_from(["", "", "[ ] ", "[x] ", "[X] ", "[/] ", "[-] "])
markers = st.sampled_from(["- ", "* ", "+ ", "1. ", "2) ", "• "])


@st.composite
def bullets(draw: st.DrawFn) -> str:
    depth = draw(st.sampled_from([0, 0, 0, 2, 4, 6]))
    return " " * depth + draw(markers) + draw(boxes) + draw(lines)


blocks = st.one_of(
    bullets(),
    bullets(),
    bullets(),
    bullets(),
    named(),
    remarks,
    remarks.map(lambda r: f"({r})"),
    st.just(""),
    st.builds(lambda n, t: f"{'#' * n} {t}", st.integers(1, 4), titles),
    st.sampled_from(["## Papers", "**Talks**", "To read", "## Notes", "### Done", "---", "[TOC]", "***"]),
    titles.map(lambda t: f"**{t}:**"),
    titles.map(lambda t: f"{t}\n====="),
    st.builds(
        lambda t, n: f"### [2021] {t}\n\n**Date:** 2025-03-{n}\n**Arxiv:** <https://arxiv.org/abs/2105.000{n}>",
        titles,
        numbers,
    ),
    st.builds(lambda r, u: f"> {r} [{r}]({u})", remarks, urls),
    st.builds(lambda r, u: f"    {r} {u}", remarks, urls),
    st.builds(lambda r, u: f"```\n- [ ] {r} {u}\n```", remarks, urls),
    st.builds(lambda t, u: f"| {t} | link |\n|---|---|\n| {t} | {u} |", titles, urls),
    st.builds(lambda t, u: f"- [{t}][ref]\n\n[ref]: {u}", titles, urls),
    st.builds(lambda t, u: f"- {t}[^1]\n\n[^1]: see {u}", titles, urls),
    st.builds(lambda t, u: f"<details>\n<summary>{t}</summary>\n\n- {u}\n</details>", titles, urls),
    st.builds(lambda r, u: f"<!-- {r} {u} -->", remarks, urls),
    st.builds(lambda t, u: f"{t}\n  - {u}\n  - Slides: {u}x\n  - Year: 2014", titles, urls),
)  # fmt: skip
lists = st.lists(blocks, max_size=25).map("\n".join)
anything = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="-*#[]()<>:|`~>!. \n\t\r1axX^_\\\"'&ğ“\u2028\ufeff", max_size=300),
)


def texts(root: Path) -> str:
    return "\n".join(d.decode() for path, d in files(root).items() if path.startswith("notes/"))


def lines_of(text: str) -> list[str]:
    """The lines of a file; what follows the last line end is none."""
    return text.removesuffix("\n").split("\n") if text else []


def check_account(report: dict[str, object], text: str) -> None:
    counts = report["lines"]
    assert isinstance(counts, dict)
    assert counts["total"] == sum(v for k, v in counts.items() if k != "total") == len(lines_of(text))
    assert counts["blank"] == sum(not line.strip() for line in lines_of(text))


def check_kept(text: str, found: str) -> None:
    """Every link of a list, as written or as the id it names, and every word stands in the notes."""
    for url in re.findall(r"https?://[^\s<>\"|)\]]+", text):
        source = identify(url)
        assert url in found or (source and source.value in found), url
    words = set(re.findall(r"[^\W\d_]{3,}", re.sub(r"https?://\S+", "", text).casefold()))
    kept = set(re.findall(r"[^\W\d_]{3,}", found.casefold()))
    assert words - kept - STRUCTURAL == set()


@SLOW
@given(lists)
def test_every_line_word_and_link_of_a_list_is_accounted_for(text: str) -> None:
    with vault() as root:
        (report,) = bring(root, list=text)
        check_account(report, text)
        assert report["unresolved"] == []
        check_kept(text, texts(root))


@SLOW
@given(st.lists(lists.filter(str.strip), min_size=1, max_size=2))
def test_importing_again_changes_nothing_and_undo_takes_all_back(texts: list[str]) -> None:
    with vault() as root:
        (root / "notes" / "mine.md").write_text("---\ntitle: Amber Birch\nkind: paper\n---\n\nMy words.\n")
        before = files(root)
        named = {f"list{n}": text for n, text in enumerate(texts)}
        bring(root, **named)
        after, entries = files(root), sorted((root / ".kb/journal").iterdir())
        assert "My words." in after["notes/mine.md"].decode()
        bring(root, **named)
        assert files(root) == after
        assert sorted((root / ".kb/journal").iterdir()) == entries
        Journal(root).undo()
        assert files(root) == before


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_text_is_read_and_accounted_for(text: str) -> None:
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    read = read_reading_list(text, "any.md")
    claimed = read.structure | set(read.unresolved) | {no for item in read.items for no in item.lines}
    count = len(text.split("\n"))
    assert claimed <= set(range(1, count + 1))
    assert all(item.title.strip() and item.kind for item in read.items)


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.binary(max_size=200), anything.map(lambda t: t.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_imported_and_accounted_for(data: bytes) -> None:
    with vault() as root:
        (report,) = bring(root, list=data)
        counts = report["lines"]
        assert isinstance(counts, dict)
        assert counts["total"] == sum(v for k, v in counts.items() if k != "total")
        after = files(root)
        bring(root, list=data)
        assert files(root) == after


@SLOW
@given(lists, lists, st.data())
def test_what_a_person_wrote_survives_an_edited_list(text: str, more: str, data: st.DataObject) -> None:
    with vault() as root:
        bring(root, list=text)
        paths = [p for p in files(root) if p.startswith("notes/")]
        written: dict[str, list[str]] = {}
        for n, path in enumerate(data.draw(st.lists(st.sampled_from(paths), max_size=3, unique=True)) if paths else []):
            rows = (root / path).read_text().split("\n")
            body = rows.index("---", 1) + 1
            at = data.draw(st.integers(body, len(rows)))
            rows[at:at] = [f"person wrote {n} here"]
            (root / path).write_text("\n".join(rows))
            written[path] = rows[body:]
        kept = [line for line in text.split("\n") if data.draw(st.integers(0, 5))]
        changed = "\n".join([*kept, more])
        if _strange(text, changed):
            return
        (report,) = bring(root, list=changed)
        assert report["unresolved"] == []
        check_kept(changed, texts(root))
        for path, rows in written.items():
            now = (root / path).read_text().split("\n")
            assert [row for row in rows if row.startswith("person wrote")] == [
                row for row in now if row.startswith("person wrote")
            ]


def _strange(old: str, new: str) -> bool:
    before = {line.strip() for line in old.encode().splitlines() if line.strip()}
    after = {line.strip() for line in new.encode().splitlines() if line.strip()}
    return len(before) > 3 and len(before & after) < 0.2 * min(len(before), len(after))


def test_a_line_that_one_item_gives_up_and_another_brings_stays() -> None:
    """Both headings are one work: what the list took from below the second still stands below the first."""
    head = "### [2021] Amber\n\n**Date:** 2025-03-10\n**Arxiv:** <https://arxiv.org/abs/2105.00010>\n"
    quote = "> amber [amber](https://e.org/a)\n"
    with vault() as root:
        bring(root, list=head + quote)
        bring(root, list="### [2021] Amber\n" + quote + head)
        assert quote.strip() in texts(root)


def test_lines_that_share_little_but_their_link_are_two_and_no_link_is_lost() -> None:
    head = "### [2021] Amber\n\n**Arxiv:** <https://arxiv.org/abs/2105.00010>\n"
    first, second, third = (
        f"> {word} [{word}](https://e.org/a-long-address/{place})\n"
        for word, place in (("birch", "one"), ("cedar", "one"), ("birch", "two"))
    )
    with vault() as root:
        bring(root, list=head + first)
        bring(root, other=head + second + third)
        found = texts(root)
        assert all(line.strip() in found for line in (first, second, third))

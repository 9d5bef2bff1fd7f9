"""What `kb check --fix` makes of a value in another spelling: the plain one, and not a byte more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.checks.fix import _mend, fix
from kb.library import Library
from kb.note import parse_note
from kb.spelling import meant_key, plain_form

PATH = "notes/papers/x.md"
MENDED = [  # what is written, what --fix makes of it, the check, the level
    ("Tags: [a]", "tags: [a]", "unknown-key", "warning"),
    ("arXiv:  '2006.11239' # v2", "arxiv:  '2006.11239' # v2", "unknown-key", "warning"),
    ("part-of: course", "part_of: course", "unknown-key", "warning"),
    ("Part Of: course", "part_of: course", "unknown-key", "warning"),
    ("added: 2025/01/04", "added: 2025-01-04", "schema", "error"),
    ("started: 2025.1.4 # Sunday", "started: 2025-01-04 # Sunday", "schema", "error"),
    ("finished: '20250104'", "finished: '2025-01-04'", "schema", "error"),
    ("published: 2025-1-4", "published: 2025-01-04", "schema", "error"),
    ("status: To read", "status: to-read", "schema", "error"),
    ("status: to_read", "status: to-read", "schema", "error"),
    ("arxiv: https://arxiv.org/abs/2006.11239v2", 'arxiv: "2006.11239"', "ids", "info"),
    ("arxiv: arXiv:2006.11239", 'arxiv: "2006.11239"', "ids", "info"),
    ("doi: https://doi.org/10.1000/182  # kept", "doi: 10.1000/182  # kept", "ids", "info"),
    ("acl: https://aclanthology.org/P18-1001.pdf", "acl: P18-1001", "ids", "info"),
    ("openreview: https://openreview.net/pdf?id=a_B-1", "openreview: a_B-1", "ids", "info"),
    ("pmid: https://pubmed.ncbi.nlm.nih.gov/23193287/", 'pmid: "23193287"', "ids", "info"),
    ("s2: corpusid:12", "s2: CorpusID:12", "ids", "info"),
    ("openalex: https://openalex.org/w2741809807", "openalex: W2741809807", "ids", "info"),
    ("cite: ho, 2020", "cite: ho2020", "cite", "warning"),
    ("cite: 'ho{2020}'", "cite: 'ho2020'", "cite", "warning"),
]
KEPT = [  # what only a person can mend, or need not
    "statsu: read", "Status: soon", "status: done", "Year: soon", "added: 04/01/2025", "added: 2025-13-01",
    "finished: 2025/02/30", "added: 2025-1/4", "doi: 11.1/x", "arxiv: 2006.11239v2",
    "isbn: 978-0-262-03561-3", "cite: ho2020", "cite: '{}'",
    "s2: CorpusID:12", "doi: 10.1000/a:b", "kind: papers", "my key: x", "openreview: a b",
]  # fmt: skip


def text(lines: str, end: str = "\n") -> bytes:
    return f"---\ntitle: x\n{lines}\n# kept\n---\nadded: 2025/01/04 is prose\n".replace("\n", end).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(("before", "after", "check", "level"), MENDED, ids=[row[0] for row in MENDED])
def test_each_spelling_is_mended(before: str, after: str, check: str, level: str, end: str) -> None:
    (problem,) = (p for p in parse_note(text(before, end), PATH)[1] if p.fixable and p.check != "yaml-trap")
    assert (problem.check, problem.level, problem.line) == (check, level, 3) and problem.hint
    assert _mend(text(before, end), PATH) == (text(after, end), [problem])
    assert _mend(text(after, end), PATH) == (text(after, end), [])
    note, problems = parse_note(text(after, end), PATH)
    assert problems == [] and note.meta[after.partition(":")[0]]


@pytest.mark.parametrize("line", KEPT)
def test_what_only_a_person_knows_is_left_alone(line: str) -> None:
    assert _mend(text(line), PATH) == (text(line), [])


def test_a_key_that_is_there_already_is_not_made_twice() -> None:
    for lines in ("tags: [a]\nTags: [b]", "Tags: [a]\nTAGS: [b]"):
        assert _mend(text(lines), PATH) == (text(lines), [])
    assert meant_key("Tags", ["a"], {"Tags": ["a"]}) == "tags" and plain_form("title", "x") == ""


LINES = st.sampled_from(
    [row[0] for row in MENDED]
    + KEPT
    + ["venue: no", "aliases: [1e3, b]", "url: https://e.org", "mine: 1", "authors: [Ho, J.]"]
)
CUT = st.lists(LINES, max_size=8, unique_by=lambda line: line.partition(":")[0].lower().replace("-", "_"))


@given(CUT, st.sampled_from(["\n", "\r\n"]), st.text("ab #:-[]\n", max_size=30))
def test_a_fix_ends_its_problem_and_changes_no_other_line(lines: list[str], end: str, body: str) -> None:
    data = text("\n".join(lines) or "year: 2020", end) + body.encode()
    before = parse_note(data, PATH)[1]
    new, gone = _mend(data, PATH)
    after = parse_note(new, PATH)[1]
    assert sorted([*after, *gone]) == sorted(before)
    assert [p for p in after if p.fixable] == [] and _mend(new, PATH) == (new, [])
    old_lines, new_lines = data.split(b"\n"), new.split(b"\n")
    assert len(old_lines) == len(new_lines)
    changed = {n for n, (a, b) in enumerate(zip(old_lines, new_lines, strict=True), 1) if a != b}
    assert changed == {p.line for p in gone}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('bibtex: {c: "a, 015783, b", n: 017}', 'bibtex: {c: "a, 015783, b", n: "017"}'),
        ("aliases: ['a, 1e3, b', 1e3]", "aliases: ['a, 1e3, b', \"1e3\"]"),
        ("aliases: [don't, 017, it's]", "aliases: [don't, \"017\", it's]"),
    ],
)
def test_what_stands_in_quotes_is_no_value_of_its_own(before: str, after: str) -> None:
    assert _mend(text(before), PATH)[0] == text(after)


def test_a_step_that_would_change_another_key_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = text("arxiv: 2409.17100\nvenue: A")
    for spoiled in (
        text('arxiv: "2409.17100"\nvenue: B'),
        text('arxiv: "2409.17100"\nvenue: "A'),
        text('arxiv: "2409.1"\nvenue: A'),
    ):
        monkeypatch.setattr("kb.checks.fix._step", lambda *_, new=spoiled: new)
        assert _mend(data, PATH) == (data, [])


def test_a_step_that_does_not_help_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = text("arxiv: 2409.17100")
    monkeypatch.setattr("kb.checks.fix._step", lambda old, *_: old.replace(b"# kept", b"# lost"))
    assert _mend(data, PATH) == (data, [])


def test_only_the_files_that_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "notes/papers").mkdir(parents=True)
    files = [tmp_path / "notes/papers" / name for name in ("a.md", "b.md")]
    for file in files:
        file.write_bytes(text("Tags: [a]"))
    fixed = fix(Library(tmp_path), lambda found: [p for p in found if p.path == "notes/papers/b.md"])
    assert [p.path for p in fixed] == ["notes/papers/b.md"]
    assert [file.read_bytes() for file in files] == [text("Tags: [a]"), text("tags: [a]")]

"""`kb import`: lists into a vault, once and again, with a person at work in the notes between."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from kb.checks import check
from kb.files import Journal
from kb.importing import Plan, account, apply, plan_import
from kb.importing.terminal import plan_files, summary
from kb.library import Library
from kb.problem import KbError

DAY = date(2026, 3, 1)
U = "https://example.org"
SEA = f"""# Sea

## Plants

- [ ] Kelp: {U}/kelp
  - tall
  - brown
- [ ] Wrack of the Northern Coast
- [ ] Eelgrass: {U}/eel

## Fish

- [ ] Cod: {U}/cod
"""


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    (tmp_path / "notes").mkdir()
    (tmp_path / "mkdocs.yml").write_text("site_name: x\n")
    return tmp_path


def bring(vault: Path, text: str | bytes, name: str = "sea.md", day: date = DAY) -> Plan:
    library = Library(vault)
    plan = plan_import(library, {name: text if isinstance(text, bytes) else text.encode()}, day)
    apply(library, plan)
    return plan


def done(plan: Plan) -> dict[str, str]:
    return {note.id: note.action for note in plan.changes}


def read(vault: Path, path: str) -> str:
    return (vault / "notes" / path).read_text()


def edit(vault: Path, path: str, old: str, new: str) -> None:
    text = read(vault, path)
    assert old in text
    (vault / "notes" / path).write_text(text.replace(old, new))


def files(vault: Path) -> dict[str, bytes]:
    found = (p for p in sorted(vault.rglob("*")) if p.is_file() and ".kb" not in p.relative_to(vault).parts)
    return {str(p.relative_to(vault)): p.read_bytes() for p in found}


KELP = """\
---
title: Kelp
kind: post
status: to-read
url: https://example.org/kelp
added: 2026-03-01
tags: [plants]
imported: [sea.md:5]
---

- tall
- brown
"""


def test_a_first_import(vault: Path) -> None:
    plan = bring(vault, SEA)
    assert done(plan) == dict.fromkeys(
        ["plants", "kelp", "wrack-of-the-northern-coast", "eelgrass", "fish", "cod", "sea"], "created"
    )
    assert read(vault, "posts/kelp.md") == KELP
    assert read(vault, "topics/plants.md").endswith("- [[kelp]]\n- [[wrack-of-the-northern-coast]]\n- [[eelgrass]]\n")
    (told,) = plan.as_json()["files"]
    assert told == {
        "file": "sea.md",
        "format": "list",
        "lines": {"total": 13, "blank": 4, "structure": 0, "imported": 9, "merged": 0, "unresolved": 0},
        "unresolved": [],
    }
    assert plan.as_json()["notes"][1] == {
        "id": "kelp", "path": "notes/posts/kelp.md", "action": "created", "from": [{"file": "sea.md", "line": 5}],
    }  # fmt: skip
    assert (vault / "imports/sea.md").read_text() == SEA


def test_again_is_nothing_and_undo_takes_all_back(vault: Path) -> None:
    before = files(vault)
    bring(vault, SEA)
    after = files(vault)
    assert bring(vault, SEA).changes == [] and files(vault) == after
    assert list(summary(bring(vault, SEA), False))[-1] == "Nothing is new: every line was imported before."
    Journal(vault).undo()
    assert files(vault) == before


def test_a_dry_run_writes_nothing(vault: Path) -> None:
    library = Library(vault)
    before = files(vault)
    plan = plan_import(library, {"sea.md": SEA.encode()}, DAY)
    assert list(summary(plan, True))[-1] == "Would make 7 notes and change 0; nothing was written."
    assert files(vault) == before


def test_two_whole_lists_are_filed_as_a_librarian_would(vault: Path) -> None:
    """Every note of tests/data/lists/*.md, word for word: read `filed.txt` beside them."""
    folder = Path(__file__).parents[1] / "data" / "lists"
    library = Library(vault)
    plan = plan_import(library, {p.name: p.read_bytes() for p in sorted(folder.glob("*.md"))}, DAY)
    apply(library, plan)
    notes = vault / "notes"
    filed = "".join(f"=== {p.relative_to(notes)}\n{p.read_text()}" for p in sorted(notes.rglob("*.md")))
    assert filed == (folder / "filed.txt").read_text()
    assert [file["lines"] for file in plan.as_json()["files"]] == [
        {"total": 55, "blank": 21, "structure": 1, "imported": 32, "merged": 1, "unresolved": 0},
        {"total": 67, "blank": 19, "structure": 9, "imported": 37, "merged": 2, "unresolved": 0},
    ]
    assert check(Library(vault)) == [] or all(p.level == "info" for p in check(Library(vault)))


# A list that was edited


def test_a_ticked_box_moves_the_status_and_invents_no_date(vault: Path) -> None:
    bring(vault, SEA)
    plan = bring(vault, SEA.replace("[ ] Kelp", "[x] Kelp"))
    assert done(plan) == {"kelp": "updated"}
    assert read(vault, "posts/kelp.md") == KELP.replace("to-read", "read")


def test_a_status_that_a_person_set_stays_and_is_told(vault: Path) -> None:
    bring(vault, SEA)
    edit(vault, "posts/kelp.md", "status: to-read", "status: dropped")
    plan = bring(vault, SEA.replace("[ ] Kelp", "[x] Kelp"))
    (note,) = [note for note in plan.notes if note.id == "kelp"]
    assert note.conflicts == ["status stays dropped; the list says read"] and note.action == "unchanged"
    assert read(vault, "posts/kelp.md") == KELP.replace("to-read", "dropped")


def test_an_item_taken_out_of_the_list_keeps_its_note(vault: Path) -> None:
    bring(vault, SEA)
    assert done(bring(vault, SEA.replace(f"- [ ] Eelgrass: {U}/eel\n", ""))) == {"plants": "updated"}
    assert "title: Eelgrass" in read(vault, "posts/eelgrass.md")
    assert read(vault, "topics/plants.md").endswith("- [[kelp]]\n- [[wrack-of-the-northern-coast]]\n")


def test_an_item_under_another_heading_is_the_same_note(vault: Path) -> None:
    bring(vault, SEA)
    line = f"- [ ] Eelgrass: {U}/eel\n"
    assert done(bring(vault, SEA.replace(line, "") + line)) == {
        "plants": "updated", "fish": "updated", "eelgrass": "updated",
    }  # fmt: skip
    assert "tags: [fish]" in read(vault, "posts/eelgrass.md")


@pytest.mark.parametrize(
    ("old", "new", "id", "path"),
    [
        ("Kelp:", "Kelps:", "kelp", "posts/kelp.md"),
        ("Wrack of the Northern Coast", "Wrack of the Northern Coasts", "wrack-of-the-northern-coast",
         "papers/wrack-of-the-northern-coast.md"),
        ("/eel", "/eelgrass", "eelgrass", "posts/eelgrass.md"),
    ],
)  # fmt: skip
def test_a_mended_line_is_no_second_note(vault: Path, old: str, new: str, id: str, path: str) -> None:
    bring(vault, SEA)
    count = len(files(vault))
    assert done(bring(vault, SEA.replace(old, new))) == {id: "updated"}
    assert new.rstrip(":") in read(vault, path) and len(files(vault)) == count
    assert bring(vault, SEA.replace(old, new)).changes == []


def test_another_number_is_another_work(vault: Path) -> None:
    bring(vault, "# L\n- [ ] Tides of the Sea 1\n- [ ] Rocks\n- [ ] Sand\n")
    plan = bring(vault, "# L\n- [ ] Tides of the Sea 2\n- [ ] Rocks\n- [ ] Sand\n")
    assert done(plan)["tides-of-the-sea-2"] == "created"


def test_a_line_added_to_notes_that_a_person_wrote_in(vault: Path) -> None:
    bring(vault, SEA)
    edit(vault, "posts/kelp.md", "- tall\n", "My own words.\n\n- tall\n")
    bring(vault, SEA.replace("  - brown\n", "  - brown\n  - salty\n"))
    assert read(vault, "posts/kelp.md") == KELP.replace(
        "- tall\n- brown\n", "My own words.\n\n- tall\n- brown\n- salty\n"
    )


def test_a_line_that_both_changed_stays_the_persons(vault: Path) -> None:
    bring(vault, SEA)
    edit(vault, "posts/kelp.md", "- brown", "- brown, says Bo")
    plan = bring(vault, SEA.replace("  - brown\n", "  - olive\n"))
    (note,) = [note for note in plan.notes if note.id == "kelp"]
    assert note.conflicts == ["text that you edited stays as you wrote it"]
    assert read(vault, "posts/kelp.md").endswith("- tall\n- brown, says Bo\n- olive\n")


def test_a_note_that_a_person_removed_stays_removed(vault: Path) -> None:
    bring(vault, SEA)
    (vault / "notes/posts/kelp.md").unlink()
    plan = bring(vault, SEA.replace("[ ] Kelp", "[x] Kelp"))
    assert "kelp" not in done(plan) and not (vault / "notes/posts/kelp.md").exists()
    assert account(plan.files[0])["unresolved"] == [
        {"line": no, "text": text, "reason": "its note 'kelp' was removed since the last import; kb add files it again"}
        for no, text in ((5, f"- [x] Kelp: {U}/kelp"), (6, "  - tall"), (7, "  - brown"))
    ]
    bring(vault, SEA)
    assert not (vault / "notes/posts/kelp.md").exists()


@pytest.mark.parametrize("path", ["posts/kelp.md", "papers/wrack-of-the-northern-coast.md"])
def test_a_note_under_another_name_is_found(vault: Path, path: str) -> None:
    bring(vault, SEA)
    (vault / "notes" / path).rename(vault / "notes" / Path(path).parent / "mine.md")
    edit(vault, f"{Path(path).parent}/mine.md", "title: ", "title: My ")
    bring(vault, SEA.replace("[ ] Kelp", "[x] Kelp").replace("[ ] Wrack", "[x] Wrack"))
    assert not (vault / "notes" / path).exists()
    assert "status: read\n" in read(vault, f"{Path(path).parent}/mine.md")
    assert "title: My " in read(vault, f"{Path(path).parent}/mine.md")


@pytest.mark.parametrize("lost", [["imports/sea.md"], ["imports/sea.md.json"], ["imports"], [".kb"]])
def test_lost_records_do_no_damage(vault: Path, lost: list[str]) -> None:
    bring(vault, SEA)
    edit(vault, "posts/kelp.md", "- tall\n", "- tall, and more of mine\n- tall\n")
    before = files(vault)
    for path in lost:
        shutil.rmtree(vault / path) if (vault / path).is_dir() else (vault / path).unlink()
    bring(vault, SEA)
    assert files(vault) == before


def test_a_broken_record_does_no_damage(vault: Path) -> None:
    bring(vault, SEA)
    before = files(vault)
    for text in ("{", "[]", '{"items": 3}', '{"items": [{"key": 1}, 2]}'):
        (vault / "imports/sea.md.json").write_text(text)
        bring(vault, SEA)
        assert files(vault) == before


def test_another_list_of_one_name_needs_a_name_of_its_own(vault: Path) -> None:
    bring(vault, SEA)
    with pytest.raises(KbError, match=r"sea.md: another list named sea.md was imported before .*--as NAME") as error:
        bring(vault, "# Bread\n\n- [ ] Rye\n- [ ] Wheat\n- [ ] Spelt\n- [ ] Oats\n")
    assert error.value.code == 2


# Several lists, and notes that were there


def test_one_work_in_two_lists_is_one_note(vault: Path) -> None:
    one = "- [ ] Kelp Forests of the North https://arxiv.org/abs/1901.00001v2\n"
    two = "- [x] Kelp forests of the north: https://doi.org/10.48550/arXiv.1901.00001 #sea\n"
    three = f"- The tall kelp https://arxiv.org/pdf/1901.00001\n- Kelp Forests of the North {U}/blog\n"
    library = Library(vault)
    plan = plan_import(library, {"a.md": one.encode(), "b.md": two.encode(), "c.md": three.encode()}, DAY)
    apply(library, plan)
    assert sorted(done(plan)) == ["a", "b", "c", "kelp-forests-of-the-north"]
    assert read(vault, "papers/kelp-forests-of-the-north.md") == (
        "---\ntitle: Kelp Forests of the North\nkind: paper\nstatus: read\narxiv: \"1901.00001\"\n"
        f"url: {U}/blog\npdf: https://arxiv.org/pdf/1901.00001\n"
        "seen: [https://arxiv.org/abs/1901.00001v2, https://doi.org/10.48550/arXiv.1901.00001]\n"
        "added: 2026-03-01\ntags: [sea]\naliases: [The tall kelp]\nincomplete: arxiv\n"
        "imported: [a.md:1, b.md:1, c.md:1, c.md:2]\n---\n"
    )  # fmt: skip


def test_one_title_with_two_pages_is_two_works(vault: Path) -> None:
    plan = bring(vault, f"- [ ] The Great Kelp {U}/1\n- [ ] The Great Kelp {U}/2\n- [ ] The Great Kelp {U}/2\n")
    assert sorted(done(plan)) == ["sea", "the-great-kelp", "the-great-kelp-2"]
    assert account(plan.files[0])["lines"]["merged"] == 1


def test_a_title_that_got_its_page_is_not_the_work_on_another_page(vault: Path) -> None:
    plan = bring(vault, f"- [ ] The Great Kelp\n- [ ] The Great Kelp {U}/1\n- [ ] The Great Kelp {U}/2\n")
    assert sorted(done(plan)) == ["sea", "the-great-kelp", "the-great-kelp-2"]


def test_two_papers_may_share_a_repository(vault: Path) -> None:
    code = "[code](https://github.com/a/kelp)"
    text = f"- Kelp [pdf](https://arxiv.org/abs/1901.00001) {code}\n"
    text += f"- Wrack [pdf](https://arxiv.org/abs/1902.00002) {code}\n"
    assert sorted(done(bring(vault, text))) == ["kelp", "sea", "wrack"]


def test_a_note_by_hand_keeps_its_words_and_status(vault: Path) -> None:
    (vault / "notes/k.md").write_text(
        f"---\ntitle: Kelp!  # mine\nkind: post\nstatus: dropped\nurl: {U}/kelp\n---\n\nMine.\n"
    )
    plan = bring(vault, SEA.replace("[ ] Kelp", "[x] Kelp"))
    assert read(vault, "k.md") == (
        f"---\ntitle: Kelp!  # mine\nkind: post\nstatus: dropped\nurl: {U}/kelp\ntags: [plants]\n"
        "imported: [sea.md:5]\n---\n\nMine.\n\n## From sea.md\n\n- tall\n- brown\n"
    )
    assert "[[k]]" in read(vault, "topics/plants.md") and plan.as_json()["files"][0]["lines"]["merged"] == 1


def test_a_title_in_another_script_takes_its_id_from_the_link(vault: Path) -> None:
    plan = bring(
        vault, "- 深度学习 https://arxiv.org/abs/1901.00001\n- 海 https://example.org/sea-page\n- [ ] 波\n", "l.md"
    )
    assert sorted(done(plan)) == ["arxiv-1901-00001", "example-org-sea-page", "l", "note"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (f"---\ntitle: K\nurl: {U}/kelp\n---\ncaf\xe9\n".encode("latin-1"), "notes/k.md: this is no UTF-8; mend it"),
        (
            f"---\nkind: post\ntitle: Kelp\n\n{U}/kelp\n".encode(),
            "notes/posts/kelp.md:1: the front matter is never closed",
        ),
    ],
)
def test_a_note_that_cannot_be_changed_stops_the_import(vault: Path, data: bytes, message: str) -> None:
    path = vault / message.partition(":")[0]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    before = files(vault)
    with pytest.raises(KbError, match=message):
        bring(vault, SEA)
    assert files(vault) == before


def test_a_note_with_line_ends_of_windows_keeps_them(vault: Path) -> None:
    bring(vault, SEA)
    path = vault / "notes/posts/kelp.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    bring(vault, SEA.replace("  - brown\n", "  - brown\n  - salty\n"))
    assert path.read_bytes() == (KELP + "- salty\n").replace("\n", "\r\n").encode()


# Bytes


def test_line_ends_marks_of_order_and_a_missing_last_line_end(vault: Path) -> None:
    bring(vault, SEA)
    before = files(vault)
    for data in (b"\xef\xbb\xbf" + SEA.encode(), SEA.replace("\n", "\r\n").encode(), SEA.rstrip().encode()):
        plan = bring(vault, data)
        assert plan.changes == []
    assert {k: v for k, v in files(vault).items() if k != "imports/sea.md"} == {
        k: v for k, v in before.items() if k != "imports/sea.md"
    }


def test_bytes_that_are_no_utf8_are_told_with_the_remedy(vault: Path) -> None:
    plan = bring(vault, b"- [ ] Caf\xe9\n- [ ] Kelp\n")
    (row,) = account(plan.files[0])["unresolved"]
    assert (row["line"], row["reason"]) == (1, "byte 0xe9 is no UTF-8; save the list as UTF-8")


@pytest.mark.parametrize(
    ("name", "data", "as_", "message"),
    [
        ("a.md", b"a\0b", "", "this is no text"),
        ("a.md", b"", "x/y", "is no name of a list"),
        ("a.xml", b"<?xml version='1.0'?><records/>", "", "a.xml: kb knows no such format; export it as BibTeX"),
        ("a.pdf", b"%PDF-1.4", "", "a.pdf: kb knows no such format"),
        ("none.md", None, "", "there is no such file"),
    ],
)
def test_files_that_are_no_lists(vault: Path, name: str, data: bytes | None, as_: str, message: str) -> None:
    if data is not None:
        (vault / name).write_bytes(data)
    with pytest.raises(KbError, match=message) as error:
        plan_files(Library(vault), [vault / name], as_, False)
    assert error.value.code == 2


# Review


def reviewed(vault: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Plan | None:
    """Plan an import while an editor, a line of sed, is at work."""
    (vault / "sea.md").write_text(SEA)
    monkeypatch.setenv("EDITOR", f"sed -i -E '{script}'")
    monkeypatch.delenv("VISUAL", raising=False)
    return plan_files(Library(vault), [vault / "sea.md"], "", True)


def test_a_review_changes_and_leaves_out(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        r"s/^created  post   to-read  kelp .*\| Kelp /created talk reading tall-kelp | Tall Kelp /; "
        r"s/^created(.*cod )/skip\1/; /eelgrass/d"
    )
    plan = reviewed(vault, monkeypatch, script)
    assert plan is not None
    apply(Library(vault), plan)
    assert read(vault, "talks/tall-kelp.md").startswith("---\ntitle: Tall Kelp\nkind: talk\nstatus: reading\n")
    assert "[[tall-kelp]]" in read(vault, "topics/plants.md") and "- Eelgrass" in read(vault, "topics/plants.md")
    assert not (vault / "notes/posts/eelgrass.md").exists() and not (vault / "notes/posts/cod.md").exists()
    reasons = {row["line"]: row["reason"] for row in account(plan.files[0])["unresolved"]}
    assert reasons == {9: "left out in review", 13: "left out in review"}
    after = files(vault)
    assert bring(vault, SEA).changes == [] and files(vault) == after


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (r"5s/.*/what/", "line 5 of the review is not `ACTION KIND STATUS ID"),
        (r"4s/topic/thing/", "line 4 of the review: no kind 'thing'; there are paper"),
        (r"5s/to-read/someday/", "line 5 of the review: no status 'someday'; there are inbox"),
        (r"5s/created/maybe/", "line 5 of the review: 'maybe' is no action"),
        (r"5s/  kelp /  Kelp_! /", "line 5 of the review: 'Kelp_!' is no id; write kelp"),
        (r"5s/sea.md:5/sea.md:99/", r"line 5 of the review: nothing was planned for \(sea.md:99\)"),
        (r"5s/  kelp /  eelgrass /", "the review gives two notes the id 'eelgrass'"),
        (r"5s/  kelp /  mine /", "there is a note 'mine' already"),
    ],
)
def test_a_mistake_in_a_review_stops_all(
    vault: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    (vault / "notes/mine.md").write_text("---\ntitle: Mine\nkind: log\n---\n")
    (vault / "sea.md").write_text(SEA)
    before = files(vault)
    with pytest.raises(KbError, match=message) as error:
        reviewed(vault, monkeypatch, script)
    assert error.value.code == 2 and "\n" not in str(error.value)
    assert files(vault) == before


def test_a_review_given_up(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reviewed(vault, monkeypatch, "d") is None
    monkeypatch.setenv("EDITOR", "false")
    with pytest.raises(KbError, match="false ended with 1; nothing was imported"):
        plan_files(Library(vault), [vault / "sea.md"], "", True)
    monkeypatch.delenv("EDITOR")
    with pytest.raises(KbError, match="set EDITOR"):
        plan_files(Library(vault), [vault / "sea.md"], "", True)


def test_a_heading_that_is_the_id_of_a_topic_means_that_topic(vault: Path) -> None:
    (vault / "notes" / "topics").mkdir(exist_ok=True)
    topic = vault / "notes" / "topics" / "kelp.md"
    topic.write_text("---\ntitle: Kelp forests\nkind: topic\n---\n\nMine.\n")
    plan = plan_import(Library(vault), {"l.md": b"# L\n\n## Kelp\n\n- [ ] [Holdfasts](https://example.org/h)\n"}, DAY)
    assert [note.path for note in plan.notes if "kelp" in note.path] == ["notes/topics/kelp.md"]


def test_a_numbered_lecture_is_named_after_its_course(vault: Path) -> None:
    plan = plan_import(Library(vault), {"l.md": b"CS 77\n- Lecture 1: https://youtu.be/abcdefghijk\n"}, DAY)
    assert "notes/talks/cs-77-lecture-1.md" in [note.path for note in plan.notes]

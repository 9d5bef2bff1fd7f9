"""`kb rename`: every form of link follows, nothing else changes, and one undo takes it back."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.files import Journal
from kb.importing import apply, plan_import
from kb.library import Library
from kb.problem import KbError
from kb.verbs.renaming import rename
from tests.kb.reproductions import claim

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and ".kb" not in p.parts}


OLD = "---\ntitle: Denoising\naliases: [DDPM]\n---\n\nSee [[ddpm#The chain]] above.\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[[ddpm]]", "[[new]]"),
        ("[[ ddpm ]]", "[[ new ]]"),
        ("[[ddpm|The paper]]", "[[new|The paper]]"),
        (r"| [[ddpm\|The paper]] |", r"| [[new\|The paper]] |"),
        ("[[ddpm#The chain]]", "[[new#The chain]]"),
        ("[[ddpm#A|b]]", "[[new#A|b]]"),
        ("![[ddpm]]", "![[new]]"),
        ("[[ddpm.md]]", "[[new.md]]"),
        ("[[papers/ddpm]]", "[[papers/new]]"),
        ("[[papers/ddpm.md#x]]", "[[papers/new.md#x]]"),
        ("[a](../papers/ddpm.md)", "[a](../papers/new.md)"),
        ("[a](./../papers/ddpm.md#b)", "[a](./../papers/new.md#b)"),
        ('[a](../papers/ddpm.md "t")', '[a](../papers/new.md "t")'),
        ("[a](../papers/ddpm.md 't')", "[a](../papers/new.md 't')"),
        ("[a](../papers/ddpm.md (t))", "[a](../papers/new.md (t))"),
        ("[a](<../papers/ddpm.md>)", "[a](<../papers/new.md>)"),
        ("[a](<../papers/ddpm.md#b>)", "[a](<../papers/new.md#b>)"),
        ("[a](../p%61pers/dd%70m.md)", "[a](../p%61pers/new.md)"),
        ("[a][r]\n\n[r]: ../papers/ddpm.md\n", "[a][r]\n\n[r]: ../papers/new.md\n"),
        ('[r]: <../papers/ddpm.md#b> "t"', '[r]: <../papers/new.md#b> "t"'),
        ("[[ddpm]][[ddpm]] [[unet]]", "[[new]][[new]] [[unet]]"),
    ],
)
def test_a_link_follows(make_vault: Vault, before: str, after: str) -> None:
    text = "---\ntitle: Talk\n---\n\nOne\r\n{}\r\ntwo  \n\n"
    root = make_vault(
        {"papers/ddpm.md": OLD, "papers/unet.md": "---\ntitle: U\n---\n", "talks/t.md": text.format(before)}
    )
    done = rename(Library(root), "ddpm", "new")
    assert (root / "notes/talks/t.md").read_bytes().decode() == text.format(after)
    assert (root / "notes/papers/new.md").read_text() == OLD.replace("[[ddpm#", "[[new#")
    assert not (root / "notes/papers/ddpm.md").exists()
    assert (done.path, done.notes) == ("notes/papers/new.md", ["notes/talks/t.md"])
    assert done.links == 1 + before.count("ddpm") + before.count("dd%70m")


@pytest.mark.parametrize(
    "text",
    [
        "`[[ddpm]]`",
        "```\n[[ddpm]] [a](../papers/ddpm.md)\n```",
        "$[[ddpm]]$",
        "<!-- [[ddpm]] -->",
        "[[DDPM]] [[Denoising]]",  # an alias, and the title
        "[[ddpm-2]] [a](ddpm.md) [a](../papers/ddpm.txt) ddpm",
        "[a](https://e.org/papers/ddpm.md)",
        "![a](../papers/ddpm.md)",
        r"\[[ddpm]]",
        "[^ddpm]: ../papers/ddpm.md",
    ],
)
def test_what_is_no_link_by_id_stays(make_vault: Vault, text: str) -> None:
    root = make_vault({"papers/ddpm.md": OLD, "talks/t.md": f"---\ntitle: T\n---\n{text}\n"})
    assert rename(Library(root), "DDPM", "new").notes == []
    assert (root / "notes/talks/t.md").read_text() == f"---\ntitle: T\n---\n{text}\n"


def test_an_alias_that_only_the_id_held_back_from_another_note_is_renamed_too(make_vault: Vault) -> None:
    other = {"papers/other.md": "---\ntitle: Other\naliases: [DDPM]\n---\n"}
    notes = {"papers/ddpm.md": "---\ntitle: DDPM\n---\n", "talks/t.md": "---\ntitle: T\n---\n[[DDPM]]\n"}
    root = make_vault(notes)
    rename(Library(root), "ddpm", "new")
    assert "[[DDPM]]" in (root / "notes/talks/t.md").read_text()  # the title leads there still
    root = make_vault(notes | other, "second")
    rename(Library(root), "ddpm", "new")
    assert "[[new]]" in (root / "notes/talks/t.md").read_text()  # else it would lead to other.md


def test_front_matter_follows(make_vault: Vault) -> None:
    head = (
        '---\r\ntitle: T\r\npart_of: {0}  # mine\r\nup: "[[{0}]]"\r\nsee: ["[[{0}|x]]", ddpm]\r\n# [[x]]\r\n---\r\nbody'
    )
    quoted = '---\ntitle: V\npart_of: "[[{0}]]"\n---\n'
    notes = {"papers/ddpm.md": OLD, "talks/t.md": head.format("ddpm"), "talks/v.md": quoted.format("ddpm")}
    root = make_vault(notes)
    assert rename(Library(root), "ddpm", "new").links == 5
    assert (root / "notes/talks/t.md").read_bytes().decode() == head.format("new")
    assert (root / "notes/talks/v.md").read_bytes().decode() == quoted.format("new")


def test_bytes_that_are_no_utf8_stay(make_vault: Vault) -> None:
    root = make_vault({"papers/ddpm.md": OLD, "talks/t.md": b"---\ntitle: T\n---\n\xff\xfe [[ddpm]] \x80\r\n"})
    rename(Library(root), "ddpm", "new")
    assert (root / "notes/talks/t.md").read_bytes() == b"---\ntitle: T\n---\n\xff\xfe [[new]] \x80\r\n"


def test_a_name_with_spaces_becomes_an_id(make_vault: Vault) -> None:
    text = "---\ntitle: T\n---\n[[My Notes]] [a](<../papers/My Notes.md>) [b](../papers/My%20Notes.md)\n"
    root = make_vault({"papers/My Notes.md": "---\ntitle: Mine\n---\n", "talks/t.md": text})
    assert rename(Library(root), "My Notes", "my-notes.md").links == 3
    expected = "[[my-notes]] [a](<../papers/my-notes.md>) [b](../papers/my-notes.md)\n"
    assert (root / "notes/talks/t.md").read_text().endswith(expected)


def test_one_undo_takes_it_back(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/ddpm.md": OLD, "talks/t.md": "[[ddpm]]", "talks/u.md": "---\ntitle: U\n---\n[[ddpm]]"})
    before = tree(root)
    run = run_kb(root, "rename", "ddpm", "new", "--alias")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "renamed ddpm to new: notes/papers/new.md; 3 links rewritten in 2 other notes\n"
        "  notes/talks/t.md\n  notes/talks/u.md\n"
    )
    assert "aliases: [DDPM, ddpm]\n" in (root / "notes/papers/new.md").read_text()
    assert Library(root).find("ddpm").path == "notes/papers/new.md"
    undone = run_kb(root, "undo").stdout
    assert undone.startswith("took back `kb rename ddpm new` of ")
    assert undone.endswith(": 2 notes: t, u; 1 note is gone again: new; 1 note is back: ddpm\n")
    assert tree(root) == before


@pytest.mark.parametrize(
    ("new", "code", "message"),
    [
        ("ddpm", 2, "notes/papers/ddpm.md has the id 'ddpm' already"),
        ("My Note!", 2, "'My Note!' is no id of a-z, 0-9 and -; try kb rename ddpm my-note"),
        ("a/b", 2, "'a/b' is no id of a-z, 0-9 and -; try kb rename ddpm a-b"),
        ("index", 2, "'index' is the name of a folder's first page; choose another note or name"),
        (
            "unet",
            1,
            "notes/talks/unet.md has 'unet' as its id, alias or title; choose another id, or rename that one first",
        ),
        (
            "u-net",
            1,
            "notes/talks/unet.md has 'u-net' as its id, alias or title; choose another id, or rename that one first",
        ),
    ],
)
def test_refusals(make_vault: Vault, new: str, code: int, message: str) -> None:
    root = make_vault({"papers/ddpm.md": OLD, "talks/unet.md": "---\ntitle: U-Net\n---\n[[ddpm]]\n"})
    before = tree(root)
    with pytest.raises(KbError) as error:
        rename(Library(root), "ddpm", new)
    assert (str(error.value), error.value.code) == (message, code)
    assert tree(root) == before


def test_a_front_matter_that_cannot_be_edited_stops_all(make_vault: Vault) -> None:
    odd = "---\n{title: T, part_of: ddpm}\n---\n"
    root = make_vault({"papers/ddpm.md": OLD, "talks/a.md": "[[ddpm]]", "talks/t.md": odd})
    before = tree(root)
    with pytest.raises(KbError, match="^notes/talks/t.md: .*; nothing was renamed$"):
        rename(Library(root), "ddpm", "new")
    assert tree(root) == before


def test_what_kb_may_not_change_is_told(make_vault: Vault) -> None:
    root = make_vault({"papers/ddpm.md": OLD})
    (root / "mkdocs.yml").write_text("site_name: x\nnav: [papers/ddpm.md]\n")
    folder = root / "repro/toy"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"schema": 1, "paper": "toy", "claims": [claim(note="ddpm")]}))
    assert rename(Library(root), "ddpm", "new").hints == [
        "mkdocs.yml names papers/ddpm.md; write papers/new.md there",
        "repro/toy/claims.py names the note 'ddpm'; write 'new' there, or use --alias when renaming",
    ]


def test_an_import_stays_idempotent(make_vault: Vault) -> None:
    root = make_vault({"index.md": "---\ntitle: Home\n---\n"})
    data = b"# Course\n\n- [ ] [Low-rank adaptation](https://arxiv.org/abs/2106.09685)\n- [x] [Diffusion notes](https://e.org/d)\n"
    library = Library(root)
    apply(library, plan_import(library, {"list.md": data}))
    (old,) = [n.id for n in Library(root).notes.values() if n.meta.get("arxiv") == "2106.09685"]
    done = rename(Library(root), "2106.09685", "lora-2021")
    assert (done.old, done.lists) == (old, ["imports/list.md.json"])
    assert f'"{old}"'.encode() not in (root / "imports/list.md.json").read_bytes()
    before = tree(root)
    again = plan_import(Library(root), {"list.md": data})
    assert [note.action for note in again.changes] == []
    apply(Library(root), again)
    assert tree(root) == before


# Whatever the notes say, links lead where they led


IDS = ("a", "b", "c-d", "e2")
FOLDERS = ("papers", "talks", "topics/deep")
FORMS = [
    "[[{id}]]", "[[{id}|text]]", "[[{id}#h]]", "![[{id}]]", "[[{id}.md]]", "[[{folder}/{id}]]", "`[[{id}]]`",
    "[t]({up}{folder}/{id}.md)", "[t](<{up}{folder}/{id}.md#h>)", '[t]({up}{folder}/{id}.md "x")', "[[Title {id}]]",
    "[[alias-{id}]]", "[t](./{id}.md)", "\n\n[r{id}]: {up}{folder}/{id}.md\n\n", "[[", "]]", "\n```\n", "<!--",
    "$", "\r\n", "$[[{id}]]$",
]  # fmt: skip
BODY = st.lists(st.tuples(st.sampled_from(FORMS), st.sampled_from(IDS)), max_size=6)


def graph(root: Path) -> list[tuple[str, str, list[str | None]]]:
    library = Library(root)
    notes = library.notes.values()
    return [
        (n.id, getattr(library.resolve(str(n.meta.get("part_of", "")).strip("[]")), "id", ""),
         [target.id if (target := library.target(link, n)) else None for link in n.links])
        for n in notes
    ]  # fmt: skip


@given(st.lists(st.sampled_from(FOLDERS), min_size=4, max_size=4), st.lists(BODY, min_size=4, max_size=4), st.data())
@settings(max_examples=25)
def test_the_graph_of_links_is_the_same_under_another_name(
    folders: list[str], bodies: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    home = dict(zip(IDS, folders, strict=True))
    old = data.draw(st.sampled_from(IDS))
    part = data.draw(st.sampled_from(["", "part_of: {0}\n", 'part_of: "[[{0}]]"\n']))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "mkdocs.yml").write_text("site_name: x\n")
        for id, body in zip(IDS, bodies, strict=True):
            up = "../" * (home[id].count("/") + 1)
            text = " ".join(form.format(id=to, folder=home[to], up=up) for form, to in body)
            head = f"---\ntitle: Title {id}\naliases: [alias-{id}]\n{part.format(old) if id != old else ''}---\n"
            file = root / "notes" / home[id] / f"{id}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((head + text).encode())
        before, files = graph(root), tree(root)
        rename(Library(root), old, "new-id")
        other = {old: "new-id"}
        expected = [(other.get(i, i), other.get(p, p), [other.get(t or "", t) for t in to]) for i, p, to in before]
        assert sorted(graph(root)) == sorted(expected)
        Journal(root).undo()
        assert tree(root) == files

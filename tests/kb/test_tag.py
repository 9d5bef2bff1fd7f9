"""`kb tag`: many notes at once, only the lines of the tags, spelled as the vault spells them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.library import Library
from kb.problem import KbError
from kb.verbs.tagging import counts, normal_tag, parted, rename_tag, retag

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

NOTES: dict[str, str | bytes] = {
    "papers/a.md": b"---\r\ntitle: A\r\ntags: [diffusion, todo]  # mine\r\n---\r\n\r\ntags: [x]\r\n",
    "papers/b.md": "---\ntitle: B\ntags:\n  - Diffusion  # c\n  - deep/nets\n---\n",
    "talks/c.md": "---\ntitle: C\n---\n",
    "topics/d.md": "---\ntitle: D\ntags: deep, Diffusion\n---\n",
}


@pytest.fixture
def root(make_vault: Vault) -> Path:
    return make_vault(NOTES)


def read(root: Path, path: str) -> bytes:
    return (root / "notes" / path).read_bytes()


def test_tags_are_added_and_taken_away_and_nothing_else_changes(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "tag", "a", "+images", "-todo")
    assert (run.returncode, run.stdout, run.stderr) == (0, "notes/papers/a.md: diffusion, images\n", "")
    old = NOTES["papers/a.md"]
    assert isinstance(old, bytes)
    assert read(root, "papers/a.md") == old.replace(b"[diffusion, todo]", b"[diffusion, images]")
    assert run_kb(root, "undo").stdout.endswith(": 1 note: a\n")
    assert read(root, "papers/a.md") == old


def test_a_list_with_an_item_a_line_keeps_its_lines(root: Path) -> None:
    library = Library(root)
    retag(library, [library.find("b")], ["new one"], ["deep/nets"])
    assert read(root, "papers/b.md") == b"---\ntitle: B\ntags:\n  - Diffusion  # c\n  - new-one\n---\n"


def test_many_notes_and_one_undo(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "tag", "kind:paper", "year:..2030", "-has:arxiv", "+lab")
    assert (run.returncode, run.stdout) == (1, "")  # none has a year
    run = run_kb(root, "tag", "a", "c", "d", "+lab", "--remove", "diffusion")
    assert run.stdout == "notes/papers/a.md: todo, lab\nnotes/talks/c.md: lab\nnotes/topics/d.md: deep, lab\n"
    assert read(root, "talks/c.md") == b"---\ntitle: C\ntags: [lab]\n---\n"
    assert run_kb(root, "tag", "tag:lab").stdout.count("\n") == 3
    assert run_kb(root, "undo").stdout.endswith(": 3 notes: a, c, d\n")
    assert {path: read(root, path) for path in NOTES} == {
        path: text if isinstance(text, bytes) else text.encode() for path, text in NOTES.items()
    }


def test_a_tag_without_a_sign_is_added_and_the_last_one_taken_away_takes_the_key(root: Path, run_kb: Run) -> None:
    assert run_kb(root, "tag", "c", "lab", "GPU Work").stdout == "notes/talks/c.md: lab, gpu-work\n"
    assert run_kb(root, "tag", "c", "-lab", "-gpu-work").stdout == "notes/talks/c.md: no tags\n"
    assert read(root, "talks/c.md") == NOTES["talks/c.md"].encode()  # type: ignore[union-attr]
    assert run_kb(root, "tag", "c", "-lab").stdout == "notes/talks/c.md stays as it was\n"


def test_a_tag_is_spelled_as_the_vault_spells_it(root: Path) -> None:
    library = Library(root)
    done = retag(library, [library.find("c"), library.find("a")], ["DIFFUSION"], [])
    assert done.changed == {"notes/talks/c.md": ["Diffusion"]}  # twice in the vault; `diffusion` once
    assert done.unchanged == ["notes/papers/a.md"]


def test_a_new_tag_that_nearly_is_a_known_one_is_told(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "tag", "c", "+difusion", "+unlike")
    assert (run.returncode, run.stdout) == (0, "notes/talks/c.md: difusion, unlike\n")
    assert run.stderr == (
        "kb: 'difusion' is a new tag; did you mean 'diffusion'? (kb tag --rename difusion diffusion)\n"
    )


def test_a_tag_is_renamed_over_the_vault_with_those_below_it(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "tag", "--rename", "deep", "diffusion")
    assert run.stdout == "notes/papers/b.md: Diffusion, diffusion/nets\nnotes/topics/d.md: diffusion\n"
    assert run_kb(root, "undo").stdout.endswith(": 2 notes: b, d\n")
    with pytest.raises(KbError, match="^no note has the tag 'difusion'; did you mean diffusion\\?$"):
        rename_tag(Library(root), "difusion", "x")
    with pytest.raises(KbError, match="^no note has the tag 'zzz'; `kb tag` lists them$"):
        rename_tag(Library(root), "zzz", "x")


def test_all_tags_with_their_counts(root: Path, run_kb: Run) -> None:
    assert counts(Library(root)) == [("Diffusion", 2), ("deep", 1), ("deep/nets", 1), ("diffusion", 1), ("todo", 1)]
    assert run_kb(root, "tag").stdout.splitlines()[0] == "Diffusion  2"
    assert json.loads(run_kb(root, "tag", "--json").stdout)[0] == {"tag": "Diffusion", "count": 2}
    assert run_kb(root, "tag", "a").stdout == "notes/papers/a.md: diffusion, todo\n"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["a", "+x", "¬y"], (["a"], ["x"], ["y"])),
        (["a", "b", "+x"], (["a", "b"], ["x"], [])),
        (["a", "x", "y"], (["a"], ["x", "y"], [])),
        (["tag:x", "year:2020", "y"], (["tag:x", "year:2020"], ["y"], [])),
        (["¬tag:x", "kind:paper", "+y"], (["¬tag:x", "kind:paper"], ["y"], [])),
        (["a"], (["a"], [], [])),
        ([], ([], [], [])),
    ],
)
def test_words(words: list[str], found: tuple[list[str], list[str], list[str]]) -> None:
    assert parted(words) == found


@pytest.mark.parametrize(
    ("text", "tag"),
    [("#ML", "ml"), ("Diffusion Models", "diffusion-models"), (" a / b ", "a/b"), ("C++", "c++"), ("long_x", "long_x")],
)
def test_normal_tags(text: str, tag: str) -> None:
    assert normal_tag(text) == tag
    assert normal_tag(tag) == tag


@pytest.mark.parametrize("text", ["", "#", "a: b", "[x]", "-", "/"])
def test_what_is_no_tag(text: str) -> None:
    with pytest.raises(KbError, match="is no tag; write words of letters"):
        normal_tag(text)


def test_wrong_usage(root: Path, run_kb: Run) -> None:
    for args, told in {
        ("+x",): "kb: name the notes before the tags: kb tag ID +TAG, or kb tag QUERY +TAG\n",
        ("a", "+x", "-x"): "kb: 'x' is both to be added and to be removed; choose one\n",
        ("a", "--rename", "x", "y"): "kb: --rename is for the whole vault; name no note with it\n",
    }.items():
        run = run_kb(root, "tag", *args)
        assert (run.returncode, run.stdout, run.stderr) == (2, "", told)

"""One note on the terminal, its links, and the links of the whole vault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kb.library import Library
from kb.verbs.show import as_json, broken_links, lines, link_lines, links_json, orphan_rows

NOTES = {
    "papers/ddpm.md": "---\ntitle: De\x1bnoising\nauthors: [Jonathan Ho, Ajay Jain]\nyear: 2020\n"
    "status: read\nfinished: 2025-01-02\narxiv: 2006.11239\n"
    "seen: [https://e.org/1, https://e.org/2]\ntags: [ml, vision]\n"
    "---\n\n# Hi\n\nTo [[unet]], [[none]] and [[want]].\n",
    "papers/unet.md": "---\ntitle: U-Net\nwanted: [want]\n---\n\nUsed by [[ddpm|the paper]] and [[want]].\n",
    "talks/lonely.md": "---\ntitle: Lonely\n---\n",
    "talks/part.md": "---\ntitle: Part\npart_of: whole\n---\n",
    "courses/whole.md": "---\ntitle: Whole\n---\n",
    "index.md": "---\ntitle: Home\n---\n",
}


@pytest.fixture
def library(make_vault: Callable[..., Path]) -> Library:
    notes = {path: text.replace("De\x1bnoising", '"De\\enoising"') for path, text in NOTES.items()}
    return Library(make_vault(notes))


def test_a_note_on_the_terminal(library: Library) -> None:
    assert list(lines(library, library.find("ddpm"))) == [
        "De\ufffdnoising",
        "Jonathan Ho, Ajay Jain (2020)",
        "kind: paper  status: read  finished: 2025-01-02",
        "arxiv: https://arxiv.org/abs/2006.11239",
        "seen: https://e.org/1",
        "seen: https://e.org/2",
        "#ml #vision",
        "notes/papers/ddpm.md",
        "",
        "# Hi",
        "",
        "To [[unet]], [[none]] and [[want]].",
        "",
        "Linked from",
        "  notes/papers/unet.md:6: Used by the paper and want.",
    ]


def test_a_note_as_json(library: Library) -> None:
    found = as_json(library, library.find("unet"))
    context = "Used by the paper and want."
    assert found == {
        "id": "unet",
        "title": "U-Net",
        "kind": "paper",
        "status": "inbox",
        "path": "notes/papers/unet.md",
        "wanted": ["want"],
        "body": "\nUsed by [[ddpm|the paper]] and [[want]].\n",
        "links": [{"target": "ddpm", "line": 6, "context": context}],
        "backlinks": [{"source": "notes/papers/ddpm.md", "line": 14, "context": "To unet, none and want."}],
        "broken": [{"target": "want", "line": 6, "context": context}],
    }


def test_links_of_a_note(library: Library) -> None:
    assert list(link_lines(links_json(library, library.find("ddpm")))) == [
        "Links",
        "  [[unet]] (line 14): To unet, none and want.",
        "Linked from",
        "  notes/papers/unet.md:6: Used by the paper and want.",
        "Leads nowhere",
        "  [[none]] (line 14): To unet, none and want.",
        "  [[want]] (line 14): To unet, none and want.",
    ]


def test_orphans_have_no_link_in_or_out_and_are_part_of_nothing(library: Library) -> None:
    assert orphan_rows(library) == [{"id": "lonely", "title": "Lonely"}]


def test_broken_links_of_the_vault(library: Library) -> None:
    assert broken_links(library) == [
        {"path": "notes/papers/ddpm.md:14", "target": "[[none]]"},
        {"path": "notes/papers/ddpm.md:14", "target": "[[want]]"},
        {"path": "notes/papers/unet.md:6", "target": "[[want]]", "wanted": "(wanted)"},
    ]

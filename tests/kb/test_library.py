"""A vault is found from where a person stands, and a note by any of its names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kb.library import Library, find_root
from kb.problem import KbError

Vault = Callable[..., Path]
NOTES = {
    "papers/ddpm.md": "---\ntitle: Denoising Diffusion\narxiv: 2006.11239\naliases: [DDPM paper]\n---\nSee [[unet]].\n",
    "papers/unet.md": "---\ntitle: U-Net\nstatus: done\nurl: https://e.org/unet/\n---\n",
    "index.md": "---\ntitle: Home\n---\n",
}


@pytest.fixture
def library(make_vault: Vault) -> Library:
    return Library(make_vault(NOTES))


@pytest.mark.parametrize(
    "name",
    [
        "ddpm",
        "DDPM",
        "papers/ddpm",
        "papers/ddpm.md",
        "ddpm paper",
        "denoising diffusion",
        "2006.11239",
        "arXiv:2006.11239v2",
        "https://arxiv.org/pdf/2006.11239",
        " ddpm ",
    ],
)
def test_a_note_is_found_by_any_of_its_names(library: Library, name: str) -> None:
    found = library.find(name)
    assert (found.path, found.body, [link.target for link in found.links]) == (
        "notes/papers/ddpm.md",
        "See [[unet]].\n",
        ["unet"],
    )


def test_urls_find_notes_in_any_spelling(library: Library) -> None:
    assert library.find("http://www.e.org/unet?utm_source=x").id == "unet"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ddqm", "no note 'ddqm'; did you mean ddpm?"),
        ("u net", "no note 'u net'; did you mean unet or u-net?"),
        ("nothing like it", "no note 'nothing like it'; `kb list` shows what there is"),
        ("", "no note ''; `kb list` shows what there is"),
        ("\udcff", "no note '\udcff'; `kb list` shows what there is"),
    ],
)
def test_an_unknown_name_is_told_with_what_comes_near(library: Library, name: str, message: str) -> None:
    with pytest.raises(KbError) as error:
        library.find(name)
    assert (str(error.value), error.value.code) == (message, 1)


def test_notes_problems_and_backlinks(library: Library) -> None:
    assert list(library.notes) == ["notes/index.md", "notes/papers/ddpm.md", "notes/papers/unet.md"]
    assert [str(p) for p in library.problems] == [
        "notes/papers/unet.md:3: schema: status: 'done' is not one of inbox to-read reading read dropped"
        " (write one of inbox to-read reading read dropped)"
    ]
    assert [(n.id, k.line) for n, k in library.backlinks["notes/papers/unet.md"]] == [("ddpm", 6)]
    ddpm = library.notes["notes/papers/ddpm.md"]
    target = library.target(ddpm.links[0], ddpm)
    assert target and target.id == "unet"


def test_the_vault_is_the_nearest_one_upwards(make_vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_vault(NOTES)
    monkeypatch.delenv("KB_ROOT", raising=False)
    monkeypatch.chdir(root / "notes/papers")
    assert find_root() == root
    other = make_vault({}, "other")
    assert find_root(str(other)) == other
    monkeypatch.setenv("KB_ROOT", str(other))
    assert find_root() == other
    assert find_root(str(root)) == root


def test_no_vault_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KB_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KbError) as error:
        find_root()
    assert (str(error.value), error.value.code) == (
        "no vault here or above (mkdocs.yml beside notes/); `kb init` makes one, --root DIR names one",
        2,
    )
    with pytest.raises(KbError) as error:
        find_root("nowhere")
    assert (str(error.value), error.value.code) == (
        "nowhere: no vault there (no notes/ folder); `kb init nowhere` makes one",
        2,
    )

"""Links without words in a list or a table: named after what they are until their page was asked, and asked later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kb.ids import Source
from kb.importing import apply, plan_import
from kb.library import Library
from kb.sources import Answer
from kb.verbs.complete import complete

Vault = Callable[..., Path]
LIST = b"""# Tabs
- https://www.youtube.com/watch?v=kCc8FmEb1nY
- https://youtu.be/zy8ChVd_oTM?t=60
- https://github.com/karpathy/nanoGPT
- [ ] <https://example.org/posts/2021-07-11-diffusion-models/>
- Kelp forests https://example.org/kelp
"""
TABLE = b"Name,Link,State\n,https://example.org/posts/tidal-engines,Done\n"


def bring(root: Path, name: str, data: bytes) -> int:
    library = Library(root)
    plan = plan_import(library, {name: data})
    apply(library, plan)
    return len(plan.changes)


def told(root: Path) -> dict[str, tuple[str, str]]:
    notes = Library(root).notes.values()
    return {note.id: (note.title, str(note.meta.get("incomplete", ""))) for note in notes if note.kind != "topic"}


def test_bare_links_have_names_of_their_own_and_are_completed(make_vault: Vault) -> None:
    root = make_vault({})
    bring(root, "tabs.md", LIST)
    bring(root, "works.csv", TABLE)
    assert told(root) == {
        "youtube-kcc8fmeb1ny": ("YouTube kCc8FmEb1nY", "youtube"),
        "youtube-zy8chvd-otm": ("YouTube zy8ChVd_oTM", "youtube"),
        "nanogpt": ("nanoGPT", "github"),
        "diffusion-models": ("Diffusion models", "web"),
        "kelp-forests": ("Kelp forests", ""),
        "tidal-engines": ("Tidal engines", "web"),
    }

    def fetch(sources: Sequence[Source]) -> Iterator[Answer]:
        yield from ((source, {"title": f"True name of {source.value[-5:]}"}) for source in sources)

    done, left = complete(Library(root), fetch)
    assert len(done) == 5 and left == []
    assert {title for title, _ in told(root).values()} == {
        "True name of Eb1nY", "True name of d_oTM", "True name of noGPT", "True name of dels/", "Kelp forests",
        "True name of gines",
    }  # fmt: skip
    assert bring(root, "tabs.md", LIST) == bring(root, "works.csv", TABLE) == 0

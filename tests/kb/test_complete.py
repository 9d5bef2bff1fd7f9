"""`kb add --complete`: what services tell in part, works they do not have, and old marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kb.ids import Source
from kb.library import Library
from kb.problem import KbError
from kb.sources import Answer, Fetcher, Metadata
from kb.sources.http import Unreachable
from kb.verbs.complete import complete

Vault = Callable[..., Path]


def answering(answers: dict[str, Metadata | KbError]) -> Fetcher:
    def fetch(sources: Sequence[Source]) -> Iterator[Answer]:
        yield from ((source, answers[source.value]) for source in sources)

    return fetch


def note(**keys: str) -> str:
    return "---\n" + "".join(f"{key}: {value}\n" for key, value in keys.items()) + "---\n"


def test_a_service_that_tells_a_part_is_asked_again(make_vault: Vault) -> None:
    root = make_vault({"papers/a.md": note(title="DOI 10.1000/a", doi="10.1000/a", incomplete="doi")})
    part: dict[str, Metadata | KbError] = {"10.1000/a": {"title": "A", "incomplete": "web"}}
    for _ in "ab":
        done, left = complete(Library(root), answering(part))
        assert done == [] and [str(p) for p in left] == [
            "notes/papers/a.md:4: incomplete: web did not tell all (run `kb add --complete` again later)"
        ]
        assert (root / "notes/papers/a.md").read_text() == note(title="A", doi="10.1000/a", incomplete="web")
    done, left = complete(Library(root), answering({"10.1000/a": {"title": "A", "year": 2020}}))
    assert [a.action for a in done] == ["completed"] and left == []
    assert (root / "notes/papers/a.md").read_text() == note(title="A", year="2020", doi="10.1000/a")


def test_what_a_service_does_not_have_needs_a_person(make_vault: Vault) -> None:
    files = {f"papers/{x}.md": note(title=x, doi=f"10.1000/{x}", incomplete="doi") for x in "ab"}
    root = make_vault(files)
    answers: dict[str, Metadata | KbError] = {"10.1000/a": KbError("none"), "10.1000/b": Unreachable("busy")}
    assert [p.hint for p in complete(Library(root), answering(answers))[1]] == [
        "mend what names the work, or remove the key",
        "run `kb add --complete` again later",
    ]


def test_a_mark_of_another_kind_is_completed_by_what_the_note_names(make_vault: Vault) -> None:
    """Before there were services for them, ACL and OpenReview papers waited for `web`."""
    root = make_vault({"papers/a.md": note(title="ACL P19-1001", acl="P19-1001", incomplete="web")})
    done, _ = complete(Library(root), answering({"P19-1001": {"title": "A", "acl": "P19-1001"}}))
    assert [a.source for a in done] == ["acl:P19-1001"]


def test_other_places_are_joined(make_vault: Vault) -> None:
    also = {"a": "https://a.org", "b": "https://b.org"}
    keys = {"title": "X", "doi": "10.1000/a", "also": f"[{also['a']}]", "incomplete": "doi"}
    root = make_vault({"papers/a.md": note(**keys)})
    complete(Library(root), answering({"10.1000/a": {"title": "Y", "also": list(also.values())}}))
    assert "title: X\n" in (text := (root / "notes/papers/a.md").read_text())
    assert "also: [https://a.org, https://b.org]\n" in text

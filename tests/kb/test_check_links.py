"""Links that lead nowhere: what is there though it is no note, and remedies that work when they are typed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.checks.links import unresolved_links
from kb.library import Library

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def found(root: Path) -> list[str]:
    return [f"{p.level} {p.message} ({p.hint})" for p in unresolved_links(Library(root))]


def linked(body: str, keys: str = "") -> dict[str, str]:
    return {"papers/a.md": f"---\ntitle: Some paper\ntags: [x]\n{keys}---\n\n{body}\n"}


def test_files_by_their_name_and_the_site_s_own_pages_are_there(make_vault: Vault) -> None:
    root = make_vault(linked("![[Fig.png]] [[deep.pdf]] [t](../tags/x.md) [y](../years/none.md) [[beside.csv]]"))
    for place in ("figures/fig.png", "figures/.hidden/no.png", "more/deep.pdf", "papers/beside.csv"):
        (root / "notes" / place).parent.mkdir(parents=True, exist_ok=True)
        (root / "notes" / place).touch()
    assert found(root) == []
    (root / "notes/papers/b.md").write_text("---\ntitle: B\n---\n\n[[no.png]] [t](../tags/z.md) ![[fig.png.md]]\n")
    assert [line.split(" leads")[0] for line in found(root)] == [
        "warning [[no.png]]",
        "warning ../tags/z.md",
        "warning [[fig.png.md]]",
    ]


def test_suggestions_are_made_for_as_many_links_as_one_looks_at(
    make_vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs a look at every name of the vault: a vault of broken links must not take the square of its size."""
    root = make_vault(linked(" ".join(f"[[zzz-{n}-zzz]] [[zzz-{n}-zzz]]" for n in range(150))))
    asked: list[str] = []
    monkeypatch.setattr("kb.checks.links._near", lambda key, names: asked.append(key) or "")
    assert len(found(root)) == 300 and len(asked) == len(set(asked)) == 100


def test_the_pages_of_a_build_are_made_up_only_where_a_link_may_lead_to_one(
    make_vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made of every note, which a large vault has no memory for."""
    asked: list[int] = []
    monkeypatch.setattr("kb.checks.links._generated", lambda library: asked.append(1) or set())
    assert len(found(make_vault(linked("[x](missing.md) [y](../talks/z.md) [[tags/x]]")))) == 3 and asked == []
    assert len(found(make_vault(linked("[x](../tags/x.md) [y](../years/1.md)"), "other"))) == 2 and asked == [1]


@pytest.mark.parametrize(
    ("link", "keys", "hint"),
    [
        ("[[deep-nets]]", "", "write it: kb add REF --id deep-nets, or list it under wanted:"),
        ("[[deep-nets]]", "wanted: [deep-nets]\n", "write it: kb add REF --id deep-nets"),
        ("[[2025-01-04-list.md]]", "wanted: [2025-01-04-list.md]\n", "write it: kb add REF --id 2025-01-04-list"),
        ("[[Deep Nets]]", "", "write it: kb add REF --title 'Deep Nets', or list it under wanted:"),
        ("[[papers/zzz]]", "", "write that file, or list it under wanted:"),
        ("[z](zzz.md)", "", "write that file, or list it under wanted:"),
        ("[[some papr]]", "", "did you mean [[some paper]]?"),
    ],
)
def test_a_remedy_mends_the_link(make_vault: Vault, run_kb: Run, link: str, keys: str, hint: str) -> None:
    root = make_vault(linked(f"See {link}.", keys))
    (problem,) = unresolved_links(Library(root))
    assert problem.hint == hint
    if command := re.match(r"write it: kb (add [^,]*)", hint):
        args = shlex.split(command[1].replace("REF", "https://example.org/nets"))
        assert run_kb(root, *args, "--offline").returncode == 0
    elif problem.hint.startswith("write that file"):
        (root / "notes/papers/zzz.md").write_text("---\ntitle: Z\n---\n")
    else:
        text = root / "notes/papers/a.md"
        text.write_text(text.read_text().replace(link, "[[some paper]]"))
    assert found(root) == []


def test_the_terminal_and_a_build_say_the_same(make_vault: Vault, run_kb: Run) -> None:
    pytest.importorskip("mkdocs", reason="the site extra is not installed")
    from kb.site.build import build

    root = make_vault(
        linked("[[nowhere]] and [x](missing.md), [y](A.md), [[some papr]] and [[wish]].", "wanted: [wish]\n")
    )
    (root / "mkdocs.yml").write_text("site_name: x\ndocs_dir: notes\ntheme: {name: material}\nplugins: [search, kb]\n")
    checked = run_kb(root, "check").stdout.splitlines()
    assert len(checked) == 4 and sorted(build(root, quiet=True).warnings) == sorted(checked)
    rows = json.loads(run_kb(root, "check", "--all", "--json").stdout)
    assert [row["check"] for row in rows].count("wanted") == 1


def test_a_link_to_a_note_that_the_site_leaves_out_is_told_by_the_build(make_vault: Vault) -> None:
    pytest.importorskip("mkdocs", reason="the site extra is not installed")
    from kb.site.build import build

    root = make_vault(linked("See [[b]].") | {"drafts/b.md": "---\ntitle: B\n---\n\nAnd [[a]].\n"})
    (root / "mkdocs.yml").write_text(
        "site_name: x\ndocs_dir: notes\ntheme: {name: material}\nplugins: [search, kb]\nexclude_docs: drafts/\n"
    )
    assert found(root) == []
    told = "[[b]] is no page of the site (mend exclude_docs in mkdocs.yml, or correct the link)"
    assert build(root, quiet=True).warnings == [f"notes/papers/a.md:6: link: {told}"]

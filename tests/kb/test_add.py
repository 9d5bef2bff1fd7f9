"""`kb add`: new notes from references, none twice, all or nothing; `--complete`; reading status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import servers  # noqa: E402
import servers_web  # noqa: E402
from hypothesis import given
from hypothesis import strategies as st

from kb.duplicates import Shelf
from kb.files import Journal
from kb.frontmatter import compose
from kb.ids import Source
from kb.library import Library
from kb.problem import KbError
from kb.sources import Answer, Fetcher, Metadata, fetcher
from kb.sources.http import Client, Unreachable
from kb.verbs.add import Added, AddOptions, add, new_id
from kb.verbs.complete import complete
from kb.verbs.references import read_refs
from kb.verbs.status import dashboard, set_status

TODAY = date(2026, 3, 1)
DDPM = {"title": "Denoising Diffusion Probabilistic Models", "authors": ["Jonathan Ho"], "year": 2020}
DOWN = Unreachable("export.arxiv.org is too busy to answer; try again later")


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "mkdocs.yml").write_text("site_name: x\n")
    return tmp_path


def write(vault: Path, path: str, text: str) -> Path:
    file = vault / "notes" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="")
    return file


def tree(vault: Path) -> dict[str, str]:
    return {str(p.relative_to(vault)): p.read_text() for p in sorted((vault / "notes").rglob("*.md"))}


def answering(answers: dict[str, Metadata | KbError]) -> Fetcher:
    def fetch(sources: Sequence[Source]) -> Iterator[Answer]:
        for source in sources:
            yield source, answers.get(source.value, DOWN)

    return fetch


def never(sources: Sequence[Source]) -> Iterator[Answer]:
    raise AssertionError(f"the network was asked for {sources}")


def run(vault: Path, *refs: str, fetch: Fetcher = never, **options: object) -> list[Added]:
    return add(Library(vault), refs, AddOptions(**options), fetch, TODAY)  # type: ignore[arg-type]


# New notes


def test_a_paper(vault: Path) -> None:
    known = DDPM | {"arxiv": "2006.11239", "published": "2020-06-19", "abstract": "We present."}
    fetch = answering({"2006.11239": known})
    (added,) = run(vault, "https://arxiv.org/abs/2006.11239v2", fetch=fetch, tags=("diffusion",), note="Read §3 first.")
    assert added.as_json() == {
        "id": "denoising-diffusion-probabilistic-models",
        "path": "notes/papers/denoising-diffusion-probabilistic-models.md",
        "action": "created",
        "source": "arxiv:2006.11239",
    }
    assert (vault / added.path).read_text() == (
        "---\n"
        "title: Denoising Diffusion Probabilistic Models\n"
        "kind: paper\n"
        "status: to-read\n"
        "authors: [Jonathan Ho]\n"
        "year: 2020\n"
        'arxiv: "2006.11239"\n'
        "added: 2026-03-01\n"
        "published: 2020-06-19\n"
        "tags: [diffusion]\n"
        "abstract: We present.\n"
        "---\n"
        "\n"
        "Read §3 first.\n"
    )
    assert Library(vault).problems == []


def test_the_real_services_end_to_end(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.serve({"/api": servers.arxiv(servers.DDPM, servers.MOBILE)}) as server:
        monkeypatch.setenv("KB_ARXIV_API", server.url + "/api")
        client = Client(wait=lambda seconds: None)
        done = run(vault, "2006.11239", "arXiv:2402.14905v1", fetch=fetcher(client))
        client.close()
    assert [a.id for a in done] == ["denoising-diffusion-probabilistic-models", "mobilellm"]
    assert len(server.asked) == 1
    assert len(Journal(vault).undo()[0].paths) == 2 and tree(vault) == {}


def test_every_kind_has_its_folder(vault: Path) -> None:
    urls = {
        "https://www.youtube.com/watch?v=kCc8FmEb1nY": "talks",
        "https://github.com/karpathy/nanochat": "code",
        "https://lilianweng.github.io/posts/x-y/": "posts",
        "https://www.coursera.org/learn/ml": "courses",
        "https://huggingface.co/datasets/a/b": "datasets",
    }
    done = run(vault, *urls, fetch=answering({url: {"title": f"T {n}"} for n, url in enumerate(urls)}))
    assert [a.path for a in done] == [f"notes/{folder}/t-{n}.md" for n, folder in enumerate(urls.values())]
    (forced,) = run(vault, "https://example.org/a-talk", kind="talk", offline=True)
    assert forced.path == "notes/talks/a-talk.md"


def test_a_place_in_a_video_is_kept(vault: Path) -> None:
    (added,) = run(vault, "https://youtu.be/kCc8FmEb1nY?t=2138", offline=True, title="Build GPT")
    text = (vault / added.path).read_text()
    assert '\nat: "35:38"\n' in text and "\nvideo: https://www.youtube.com/watch?v=kCc8FmEb1nY\n" in text


def test_a_pdf_is_filed_under_its_own_key(vault: Path) -> None:
    url = "https://example.org/attention_notes.pdf"
    (added,) = run(vault, url, fetch=answering({url: {"title": "Attention notes", "pdf": url}}))
    assert "\nurl:" not in (vault / added.path).read_text()
    assert [a.action for a in run(vault, url)] == ["exists"]


# Duplicates


def test_a_work_is_added_once_however_it_is_spelled(vault: Path) -> None:
    write(vault, "papers/ddpm.md", '---\ntitle: D\narxiv: "2006.11239"\n---\n')
    before = tree(vault)
    for ref in ("2006.11239", "https://huggingface.co/papers/2006.11239", "10.48550/arXiv.2006.11239"):
        (found,) = run(vault, ref)
        assert (found.action, found.id, found.path) == ("exists", "ddpm", "notes/papers/ddpm.md")
        assert found.message == f"{ref} is in the vault already: notes/papers/ddpm.md"
    assert tree(vault) == before


def test_twice_in_one_batch_is_one_note(vault: Path) -> None:
    fetch = answering({"2006.11239": DDPM})
    done = run(vault, "2006.11239", "https://arxiv.org/pdf/2006.11239v3", fetch=fetch)
    assert [a.action for a in done] == ["created"]
    assert len(tree(vault)) == 1


def test_preprint_and_published_are_one_work(vault: Path) -> None:
    write(vault, "papers/ddpm.md", "---\ntitle: Denoising diffusion probabilistic model\nauthors: [J. Ho]\n"
                 'doi: 10.5555/3495724\n---\n')  # fmt: skip
    (found,) = run(vault, "2006.11239", fetch=answering({"2006.11239": DDPM}))
    assert (found.action, found.id) == ("exists", "ddpm")


CONTROL = "Introduction to optimal control"
DARK = {"title": "Learning to see in the dark", "year": 2018}
PAIRS: list[tuple[Metadata, Metadata, bool]] = [
    ({"title": "GPT-4 technical report", "year": 2023}, {"title": "GPT-5 technical report", "year": 2023}, False),
    ({"title": "On many experts, part I", "year": 2023}, {"title": "On many experts, part II", "year": 2023}, False),
    ({"title": CONTROL, "authors": ["A B"]}, {"title": CONTROL, "authors": ["C D"]}, False),
    ({"title": CONTROL, "authors": ["A B"]}, {"title": CONTROL.upper() + "!", "authors": ["C. B"]}, False),
    ({"title": CONTROL, "authors": ["Anna Bo"]}, {"title": CONTROL.upper() + "!", "authors": ["A. Bo"]}, True),
    ({"title": CONTROL, "authors": ["A B"]}, {"title": CONTROL, "authors": [{"family": "B", "given": "A."}]}, True),
    (DARK, DARK, True),
    (DARK, DARK | {"kind": "talk"}, False),
    (DARK | {"arxiv": "1805.01934"}, DARK | {"arxiv": "1805.01935"}, False),
    (DARK | {"arxiv": "1805.01934"}, DARK | {"doi": "10.1109/cvpr.2018.00347"}, True),
    (DARK | {"url": "https://a.org/1"}, DARK | {"url": "https://a.org/2"}, False),
    ({"title": "Nearly", "year": 2018}, {"title": "Clearly", "year": 2018}, False),
]


@pytest.mark.parametrize(("ours", "theirs", "same"), PAIRS)
def test_nearly_equal_titles(vault: Path, ours: Metadata, theirs: Metadata, same: bool) -> None:
    write(vault, "papers/ours.md", compose({"kind": "paper"} | ours, ""))
    assert (Shelf(Library(vault)).find([], {"kind": "paper"} | theirs) is not None) is same


# BibTeX and lists of references


BIB = """@article{a2020, title={First work}, author={A A}, year={2020}}
@misc{b, title={Second}, eprint={2006.11239}, archiveprefix={arXiv}}
"""


def test_a_bib_file_its_text_and_stdin_are_the_same(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "refs.bib").write_text(BIB)
    first = run(vault, str(tmp_path / "refs.bib"))
    assert [(a.id, a.action, a.source) for a in first] == [
        ("first-work", "created", "a2020"),
        ("second", "created", "arxiv:2006.11239"),
    ]
    assert "cite: a2020\nbibtex: {entry: article}\n" in (vault / "notes/papers/first-work.md").read_text()
    assert [a.action for a in run(vault, BIB)] == ["exists", "exists"]
    assert [a.action for a in run(vault, "-", stdin=BIB)] == ["exists", "exists"]


def test_an_entry_with_neither_ids_nor_authors_is_known_by_its_key(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bib").write_text("@misc{zed, title={Zed}}\n@misc{zed2, title={Zed}}\n")
    assert [a.id for a in run(vault, str(tmp_path / "a.bib"))] == ["zed", "zed-2"]  # two keys are two works
    assert [(a.id, a.action) for a in run(vault, str(tmp_path / "a.bib"))] == [("zed", "exists"), ("zed-2", "exists")]
    (tmp_path / "b.bib").write_text("@misc{zed, title={Another}}\n")
    assert [a.action for a in run(vault, str(tmp_path / "b.bib"))] == ["created"]


def test_tags_are_written_as_the_vault_writes_them(vault: Path) -> None:
    write(vault, "papers/a.md", "---\ntitle: A\ntags: [NLP]\n---\n")
    (added,) = run(vault, "2006.11239", offline=True, tags=("#Diffusion Models", "nlp", "NLP"))
    assert "tags: [diffusion-models, NLP]\n" in (vault / added.path).read_text()
    with pytest.raises(KbError, match="'#' is no tag"):
        run(vault, "2006.11240", offline=True, tags=("#",))


def test_a_list_on_stdin(vault: Path) -> None:
    done = run(vault, "-", stdin="# mine\n2006.11239\n\n https://example.org/a-b \n", offline=True)
    assert [a.source for a in done] == ["arxiv:2006.11239", "url:https://example.org/a-b"]


def test_a_broken_bib_file_adds_nothing(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "refs.bib").write_text(BIB + "@article{c, title={x} author={y}}\n")
    with pytest.raises(KbError, match=r"refs.bib:3: bibtex: entry 'c': a comma is missing.*nothing of it was added"):
        run(vault, str(tmp_path / "refs.bib"))
    assert tree(vault) == {}


# Mistakes


@pytest.mark.parametrize(
    ("refs", "options", "message"),
    [
        (["what is this"], {}, "'what is this' is no id, URL or file that kb can read; `kb add --help` shows what"),
        (["https://"], {}, "'https://' names no host; give the whole URL"),
        (["~nobody/nowhere.pdf"], {}, "~nobody/nowhere.pdf: there is no such file"),
        (["nowhere.pdf"], {}, "nowhere.pdf: there is no such file; check its name"),
        (["/"], {}, "/ is a folder; name the files in it"),
        (["2006.11239"], {"status": "later"}, "no status 'later'; there are inbox to-read reading read dropped"),
        (["2006.11239"], {"kind": "film"}, "no kind 'film'"),
        (["2006.11239"], {"id": "Ho 2020"}, "'Ho 2020' is no id of a-z, 0-9 and -; try --id ho-2020"),
        (["2006.11239", "2405.09673"], {"id": "x"}, "--id and --title are for one reference and there are 2"),
        (["/nowhere/x.bib"], {}, "/nowhere/x.bib: No such file or directory"),
    ],
)
def test_wrong_usage(vault: Path, refs: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(KbError) as caught:
        run(vault, *refs, offline=True, **options)
    assert str(caught.value).startswith(message) and caught.value.code == 2
    assert tree(vault) == {}


def test_a_file_is_not_taken_for_an_address(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vault)
    with pytest.raises(KbError, match="mkdocs.yml is a file, of which kb add takes .txt"):
        run(vault, "mkdocs.yml", offline=True)
    (vault / "list.md").write_text("https://example.org/a\n")
    with pytest.raises(KbError, match="list.md is a file for kb import"):
        run(vault, "list.md", offline=True)


def test_a_bad_reference_does_not_spoil_the_others(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "refs.txt").write_text("2006.11239\nhello\n2012.99999  # typed wrongly\nhttps://example.org/my-post\n")
    fetch = answering({"2006.11239": DDPM, "2012.99999": KbError("arXiv has no such id: 2012.99999")})
    done = run(vault, str(tmp_path / "refs.txt"), "what is this", fetch=fetch)
    assert [(a.action, a.id) for a in done] == [
        ("created", "denoising-diffusion-probabilistic-models"), ("failed", ""), ("failed", ""), ("created", "my-post"),
        ("failed", ""),
    ]  # fmt: skip
    assert [a.message.removeprefix(f"{tmp_path}/") for a in done if a.action == "failed"] == [
        "refs.txt:2: no reference in 'hello'; put an id or a URL there",
        "refs.txt:3: arXiv has no such id: 2012.99999",
        "'what is this' is no id, URL or file that kb can read; `kb add --help` shows what it can",
    ]
    assert done[1].as_json() == {"action": "failed", "source": "hello", "message": done[1].message}
    assert len(Journal(vault).undo()[0].paths) == 2 and tree(vault) == {}


def test_an_id_that_is_taken(vault: Path) -> None:
    write(vault, "topics/ddpm.md", "---\ntitle: T\n---\n")
    with pytest.raises(KbError, match="there is a note 'ddpm' already"):
        run(vault, "2006.11239", offline=True, id="ddpm")


# Files, pipes and the clipboard


LINES = """# mine
2006.11239
- [ ] Read [this](https://example.org/a_(b)) soon, and https://github.com/ann/net.
3. arXiv: 2405.09673 (LoRA)
<https://example.org/c>
the one in doi:10.1109/5.726791, please
"""
NAMED = ["arxiv:2006.11239", "url:https://example.org/a_(b)", "code:https://github.com/ann/net", "arxiv:2405.09673",
         "url:https://example.org/c", "doi:10.1109/5.726791"]  # fmt: skip


def test_a_file_a_pipe_and_the_clipboard_hold_the_same(vault: Path, tmp_path: Path) -> None:
    file = tmp_path / "refs.txt"
    file.write_bytes(LINES.replace("\n", "\r\n").encode("utf-8-sig"))
    assert [a.source for a in run(vault, str(file), offline=True)] == NAMED
    assert {a.action for a in run(vault, "-", stdin="\ufeff" + LINES, offline=True)} == {"exists"}
    file.write_bytes(LINES.encode("utf-16"))
    assert {a.action for a in run(vault, str(file), offline=True)} == {"exists"}
    assert {a.action for a in run(vault, clipboard=LINES, offline=True)} == {"exists"}


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "holds no reference"), (b"# a\n\n", "holds no reference"), (b"a\0b", "is no text that kb can read")],
)
def test_files_without_references(vault: Path, tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "refs.txt").write_bytes(data)
    with pytest.raises(KbError, match=message):
        run(vault, str(tmp_path / "refs.txt"))


@given(st.text(alphabet="htps:/.x1260[]()<>-* #a\n\t\0@{}é", max_size=80))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    for c in (*read_refs(text), *read_refs("-", text)):
        assert (c.source is not None or c.meta) is not bool(c.wrong)


def test_what_a_bibliography_says_in_words_is_kept(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "refs.bib").write_text("@article{a, title={One}, year={2020}, annote={Read section 3.}}")
    (added,) = run(vault, str(tmp_path / "refs.bib"), note="Mine.")
    assert (vault / added.path).read_text().endswith("---\n\nRead section 3.\n\nMine.\n")


# PDF files on disk


def test_a_pdf_on_disk(vault: Path, tmp_path: Path) -> None:
    stamp = "arXiv:2006.11239v2  [cs.LG]  16 Dec 2020"
    (tmp_path / "ddpm.pdf").write_bytes(servers_web.pdf([("Denoising", 20)], stamp=stamp))
    (tmp_path / "old_scan.pdf").write_bytes(servers_web.pdf([]))
    fetch = answering({"2006.11239": DDPM})
    ddpm, scan = run(vault, str(tmp_path / "ddpm.pdf"), str(tmp_path / "old_scan.pdf"), fetch=fetch)
    assert ddpm.message == (
        "added notes/papers/denoising-diffusion-probabilistic-models.md: Denoising Diffusion Probabilistic Models;"
        " the file itself stays where it is: ddpm.pdf"
    )
    assert '\narxiv: "2006.11239"\n' in (vault / ddpm.path).read_text()
    assert scan.message == (
        "added notes/papers/old-scan.md: Old scan (the title is the file's name: it holds no text (a scan?));"
        " the file itself stays where it is: old_scan.pdf"
    )
    assert str(tmp_path) not in "".join(tree(vault).values())
    assert [a.action for a in run(vault, str(tmp_path / "ddpm.pdf"))] == ["exists"]


def test_a_pdf_without_the_network_is_completed_later(vault: Path, tmp_path: Path) -> None:
    stamp = "arXiv:2006.11239v2 [cs.LG] 16 Dec 2020"
    (tmp_path / "x.pdf").write_bytes(servers_web.pdf([("Denoising Diffusion Models", 20)], stamp=stamp))
    (added,) = run(vault, str(tmp_path / "x.pdf"), offline=True)
    text = (vault / added.path).read_text()
    assert "title: Denoising Diffusion Models\n" in text and "incomplete: arxiv\n" in text
    complete(Library(vault), answering({"2006.11239": DDPM}))
    assert "year: 2020\n" in (vault / added.path).read_text()


def test_a_pdf_of_which_only_the_title_is_known_is_added_once(vault: Path, tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        (tmp_path / name).write_bytes(servers_web.pdf([("Nets That Learn to Wait", 20)]))
    (added,) = run(vault, str(tmp_path / "a.pdf"), str(tmp_path / "b.pdf"))
    (again,) = run(vault, str(tmp_path / "b.pdf"), tags=("t",))
    assert again.message == f"b.pdf is in the vault already: {added.path}; `--merge` adds to that note what it lacks"
    assert len(tree(vault)) == 1


def test_what_is_no_pdf(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"<html>")
    with pytest.raises(KbError, match="x.pdf is no PDF, whatever its name says; check the file$"):
        run(vault, str(tmp_path / "x.pdf"))


# Merging


NOTE = "---\ntitle: Denoising diffusion probabilistic models # mine\nauthors: [J. Ho]\n{}---\n\nMy words.\n"


def test_merge_adds_what_a_note_lacks_and_can_be_undone(vault: Path) -> None:
    file = write(vault, "papers/ddpm.md", NOTE.format("doi: 10.5555/3495724\n"))
    fetch = answering({"2006.11239": DDPM | {"abstract": "We present."}})
    (refused,) = run(vault, "2006.11239", fetch=fetch, tags=("t",))
    assert (refused.action, refused.message) == (
        "exists",
        "2006.11239 is in the vault already: notes/papers/ddpm.md; `--merge` adds to that note what it lacks",
    )
    (merged,) = run(vault, "2006.11239", fetch=fetch, merge=True, tags=("t",), note="And more.")
    assert (merged.id, merged.action, merged.message) == (
        "ddpm", "merged", "merged 2006.11239 into notes/papers/ddpm.md"
    )  # fmt: skip
    assert file.read_text() == (
        "---\ntitle: Denoising diffusion probabilistic models # mine\nauthors: [J. Ho]\nyear: 2020\n"
        'arxiv: "2006.11239"\ndoi: 10.5555/3495724\ntags: [t]\nabstract: We present.\n---\n\nMy words.\n\nAnd more.\n'
    )
    (again,) = run(vault, "2006.11239", fetch=fetch, merge=True, tags=("t",))
    assert (again.action, again.message) == ("exists", "2006.11239 adds nothing to notes/papers/ddpm.md")
    assert Journal(vault).undo()[0].paths == ["notes/papers/ddpm.md"]
    assert file.read_text() == NOTE.format("doi: 10.5555/3495724\n")


def test_several_references_merge_into_one_note(vault: Path) -> None:
    file = write(vault, "papers/ddpm.md", NOTE.format('arxiv: "2006.11239"\n'))
    fetch = answering({"2006.11239": DDPM, "10.5555/3495724": DDPM | {"doi": "10.5555/3495724", "venue": "NeurIPS"}})
    done = run(vault, "2006.11239", "10.5555/3495724", fetch=fetch, merge=True)
    assert [(a.action, a.path) for a in done] == [("merged", "notes/papers/ddpm.md")] * 2
    text = file.read_text()
    assert "year: 2020\n" in text and "doi: 10.5555/3495724\n" in text and "venue: NeurIPS\n" in text


def test_a_work_given_by_two_ids_is_one_note_with_both(vault: Path) -> None:
    fetch = answering({"2006.11239": DDPM, "10.5555/3495724": DDPM | {"doi": "10.5555/3495724"}})
    (added,) = run(vault, "2006.11239", "10.5555/3495724", fetch=fetch)
    text = (vault / added.path).read_text()
    assert 'arxiv: "2006.11239"\n' in text and "doi: 10.5555/3495724\n" in text
    assert Journal(vault).undo()[0].paths == [added.path] and tree(vault) == {}


# Without the network


def test_offline_and_a_silent_service_make_an_incomplete_note(vault: Path) -> None:
    (one,) = run(vault, "2006.11239", offline=True)
    (two,) = run(vault, "2405.09673", fetch=answering({}))
    (three,) = run(vault, "https://example.org/posts/my-post", offline=True, title="Mine")
    assert (vault / one.path).read_text() == (
        '---\ntitle: arXiv 2006.11239\nkind: paper\nstatus: to-read\narxiv: "2006.11239"\nadded: 2026-03-01\n'
        "incomplete: arxiv\n---\n"
    )
    assert one.message == (
        "added notes/papers/arxiv-2006-11239.md, incomplete: not asked for (--offline); "
        "`kb add --complete` fetches the rest"
    )
    assert str(DOWN) in two.message
    text = (vault / three.path).read_text()
    assert "title: Mine\n" in text and "incomplete: web\n" in text


def test_complete_fills_in_and_keeps_what_a_person_wrote(vault: Path) -> None:
    run(vault, "2006.11239", "2405.09673", "https://example.org/posts/my-post", offline=True)
    mine = vault / "notes/papers/arxiv-2405-09673.md"
    mine.write_text(mine.read_text().replace("title: arXiv 2405.09673", "title: My title # mine") + "\nMy words.\n")
    page = {"title": "My post", "venue": "Blog"}
    answers: dict[str, Metadata | KbError] = {"2006.11239": DDPM, "2405.09673": {"title": "LoRA", "year": 2024}}
    done, left = complete(Library(vault), answering(answers))
    assert [(a.id, a.action) for a in done] == [("arxiv-2006-11239", "completed"), ("arxiv-2405-09673", "completed")]
    assert [str(p) for p in left] == [
        f"notes/posts/my-post.md:7: incomplete: {DOWN} (run `kb add --complete` again later)"
    ]
    assert mine.read_text() == (
        "---\ntitle: My title # mine\nkind: paper\nstatus: to-read\nyear: 2024\n"
        'arxiv: "2405.09673"\nadded: 2026-03-01\n---\n\nMy words.\n'
    )
    assert "title: Denoising Diffusion Probabilistic Models\n" in (vault / done[0].path).read_text()
    done, left = complete(Library(vault), answering({"https://example.org/posts/my-post": page}))
    assert ([a.id for a in done], left) == (["my-post"], [])
    assert complete(Library(vault), never) == ([], [])


def test_an_interrupted_complete_keeps_what_it_has(vault: Path) -> None:
    run(vault, "2006.11239", "2405.09673", offline=True)

    def interrupted(sources: Sequence[Source]) -> Iterator[Answer]:
        yield sources[0], DDPM
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete(Library(vault), interrupted)
    assert sorted("incomplete" in text for text in tree(vault).values()) == [False, True]
    assert Journal(vault).undo()[0].verb == "add --complete"


def test_complete_tells_of_a_note_that_names_no_source(vault: Path) -> None:
    write(vault, "papers/x.md", "---\ntitle: X\nincomplete: arxiv\n---\n")
    assert [str(p) for p in complete(Library(vault), answering({}))[1]] == [
        "notes/papers/x.md:3: incomplete: nothing says where to fetch 'arxiv'"
        " (add its arxiv, doi or url, or remove the key)"
    ]


# Ids


@pytest.mark.parametrize(
    ("title", "year", "id"),
    [
        ("MobileLLM: Optimizing Sub-billion Parameter Language Models", None, "mobilellm"),
        ("LoRA Learns Less and Forgets Less", None, "lora-learns-less-and-forgets-less"),
        ("A very long name before: the colon", None, "a-very-long-name-before-the-colon"),
        ("2024: a year", None, "2024-a-year"),
        ("Taken", 2020, "taken-2020"),
        ("Taken", None, "taken-2"),
        ("Taken twice", 2020, "taken-twice-2"),
        ("深層学習", None, "note"),
    ],
)
def test_ids(title: str, year: int | None, id: str) -> None:
    assert new_id(title, {"taken", "taken-twice", "taken-twice-2020"}, year) == id


# Status


def test_status_stamps_dates_and_touches_nothing_else(vault: Path) -> None:
    text = '---\r\ntitle: "X"  # the title\r\nstatus: to-read   # soon\r\nzotero: {a: 1}\r\n---\r\n\r\nWords.\r\n'
    file = write(vault, "papers/x.md", text)

    def to(status: str, day: int) -> str:
        library = Library(vault)
        set_status(library, [library.find("x")], status, date(2026, 3, day))
        return file.read_bytes().decode()

    reading = text.replace("status: to-read   # soon\r\n", "status: reading   # soon\r\nstarted: 2026-03-01\r\n")
    assert to("reading", 1) == reading
    read = reading.replace("reading ", "read ").replace("03-01\r\n", "03-01\r\nfinished: 2026-03-05\r\n")
    assert to("read", 5) == read
    assert to("read", 6) == read
    assert to("reading", 7) == read.replace("read ", "reading ")


def test_status_of_many_is_one_change_and_names_what_changed(vault: Path) -> None:
    for id in "abc":
        write(vault, f"papers/{id}.md", f"---\ntitle: {id}\nstatus: {'read' if id == 'b' else 'inbox'}\n---\n")
    library = Library(vault)
    assert set_status(library, library.notes.values(), "read", TODAY) == ["notes/papers/a.md", "notes/papers/c.md"]
    assert Journal(vault).undo()[0].paths == ["notes/papers/a.md", "notes/papers/c.md"]


@pytest.mark.parametrize(
    ("spoil", "status", "message"),
    [
        (lambda f: f.unlink(), "read", "notes/papers/x.md is gone"),
        (lambda f: f.write_bytes(b"---\ntitle: \xff\n---\n"), "read", "notes/papers/x.md is no UTF-8"),
        (lambda f: f.write_text("---\ntitle: x\n"), "read", "notes/papers/x.md: line 1: the front matter is never"),
        (lambda f: None, "later", "no status 'later'"),
    ],
)
def test_status_of_what_cannot_be_edited(
    vault: Path, spoil: Callable[[Path], object], status: str, message: str
) -> None:
    file = write(vault, "papers/x.md", "---\ntitle: x\n---\n")
    library = Library(vault)
    note = library.find("x")
    spoil(file)
    with pytest.raises(KbError, match=message):
        set_status(library, [note], status, TODAY)


def test_topics_have_no_status(vault: Path) -> None:
    write(vault, "topics/x.md", "---\ntitle: x\n---\n")
    library = Library(vault)
    with pytest.raises(KbError, match="notes/topics/x.md is a topic"):
        set_status(library, [library.find("x")], "read", TODAY)


def test_the_dashboard(vault: Path) -> None:
    def paper(id: str, **meta: object) -> None:
        keys = "".join(f"{key}: {value}\n" for key, value in meta.items())
        write(vault, f"papers/{id}.md", f"---\ntitle: {id.upper()}\n{keys}---\n")

    paper("a", status="reading", started="2026-01-01")
    paper("b", status="reading", started="2026-02-01", at="page 4")
    paper("c", status="to-read", added="2025-05-01")
    paper("d", status="to-read", added="2024-05-01")
    paper("e", status="to-read", rating=4, added="2026-02-20")
    paper("f", status="read", finished="2026-02-25")
    paper("g", status="to-read")
    paper("h", status="read", finished="2025-02-25")
    paper("i", status="dropped", colour="red")
    write(vault, "topics/t.md", "---\ntitle: T\n---\n[[nowhere]]\n")
    found = dashboard(Library(vault), today=TODAY)
    assert found["schema"] == 1
    assert found["counts"] == {"dropped": 1, "read": 2, "reading": 2, "to-read": 4}
    assert found["kinds"] == {"paper": 9, "topic": 1}
    assert [(row["id"], row.get("at")) for row in found["reading"]] == [("b", "page 4"), ("a", None)]
    assert [(row["id"], row["why"]) for row in found["next"]] == [
        ("e", "rated 4 of 5"),
        ("d", "waiting since 2024-05-01"),
        ("c", "waiting since 2025-05-01"),
        ("g", "to read, with no date"),
    ]
    assert [(row["id"], row["why"]) for row in found["recent"]] == [
        ("f", "finished 2026-02-25"),
        ("e", "added 2026-02-20"),
    ]
    assert found["stale"] == [] and found["problems"] == 1
    since = dashboard(Library(vault), date(2025, 1, 1), TODAY)["recent"]
    assert [row["id"] for row in since] == ["f", "e", "c", "h"]

"""A whole build, read back from the output folder."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.site.build import BuildReport, build

MakeVault = Callable[[Path, dict[str, str]], Path]
HOME = "---\ntitle: Home\n---\n\nOwn words.\n"


def page(site: Path, uri: str) -> str:
    return (site / uri / "index.html").read_text()


def article(site: Path, uri: str) -> str:
    return page(site, uri).split("<article", 1)[1].split("</article>")[0]


def test_a_sound_vault_builds_without_a_warning(report: BuildReport) -> None:
    assert report.warnings == [] and report.pages > 20 and report.seconds > 0


def test_a_note_has_its_card(site: Path) -> None:
    html = article(site, "papers/ddpm")
    assert html.count("<h1>") == 1 and "<h1>Denoising Diffusion Probabilistic Models</h1>" in html
    for told in ("Jonathan Ho, Ajay Jain, Pieter Abbeel", "NeurIPS", "also DDPM", "at section 3.2", "2025-03-05"):
        assert told in html
    assert (
        'href="https://arxiv.org/abs/2006.11239"' in html and 'href="https://github.com/hojonathanho/diffusion"' in html
    )
    assert 'href="../../years/2020/"' in html and 'href="../../status/reading/"' in html and "ho2020denoising" in html
    assert '<span class="kb-math">L_2</span> &amp; more' in html and "3.17" in html
    assert 'href="../../tags/ml/generative/"' in html


def test_titles_are_text_not_markup(site: Path) -> None:
    html = page(site, "papers/unet")
    assert "<h1>U-Net &amp; friends &lt;b&gt;</h1>" in html and "<title>U-Net &amp; friends &lt;b&gt; -" in html


def test_links_lead_to_pages_and_headings(site: Path) -> None:
    html = article(site, "papers/unet")
    assert 'href="../ddpm/">Denoising Diffusion Probabilistic Models</a>' in html
    assert 'href="../ddpm/#the-loss-term"' in html and 'id="the-loss-term"' in article(site, "papers/ddpm")
    assert "the diffusion <em>paper</em></a>" in html and 'class="kb-embed"' in html
    assert re.search(r'<span class="kb-missing"[^>]*>deep-nets</span>', html)
    assert re.search(r'<img [^>]*src="../figure.png"', html)


def test_nothing_in_code_or_math_is_a_link(site: Path) -> None:
    html = article(site, "papers/ddpm")
    assert '<td><a class="kb-link" href="../unet/">the network</a></td>' in html
    assert (
        html.count("[[unet]]") == 3 and "it costs $5 and" in html and "$not math$" in html and "indented $code$" in html
    )
    assert "a&lt;b" in html and "x_t = \\sqrt" in html and "wzxhzdk" not in html


def test_backlinks_come_with_their_sentences(site: Path) -> None:
    html = article(site, "papers/ddpm").split('id="kb-backlinks"')[1]
    ddpm = "Denoising Diffusion Probabilistic Models"
    assert f"The backbone of {ddpm}." in html
    assert f"All about noise: {ddpm}, then U-Net &amp; friends &lt;b&gt;." in html
    assert 'href="../../topics/diffusion/"' in html and 'href="../../guide/write-a-note/"' in html
    assert 'id="kb-parts"' in article(site, "courses/cs336") and "../../talks/lecture-1/" in article(
        site, "courses/cs336"
    )
    assert 'in</span> <a href="../../courses/cs336/"' in article(site, "talks/lecture-1")


def test_index_pages_exist_and_their_links_do_too(site: Path) -> None:
    pages = [
        "status/reading",
        "status/dropped",
        "tags",
        "tags/c",
        "tags/ml",
        "kinds",
        "kinds/paper",
        "years/2020",
        "topics",
    ]
    for uri in pages:
        page(site, uri)
    assert len(list((site / "tags").glob("c-*/index.html"))) == 1  # C++, which is not c
    for path in site.rglob("*.html"):
        if path.name == "404.html":
            continue
        for address in re.findall(r'(?:href|src)="([^"#:?]+)["#?]', path.read_text().split("<body", 1)[1]):
            target = (path.parent / address).resolve()
            assert target.exists() and (target.is_file() or (target / "index.html").exists()), (path, address)


def test_the_front_page_has_its_own_words_and_the_dashboard(site: Path) -> None:
    html = (site / "index.html").read_text()
    assert (
        "What I read." in html and "Reading now" in html and 'href="papers/ddpm/"' in html and "at section 3.2" in html
    )


def test_the_menu_is_small_and_holds_the_guide(site: Path) -> None:
    menu = page(site, "papers/ddpm").split("md-nav--primary", 1)[1].split('data-md-component="content"', 1)[0]
    assert 'href="../../guide/write-a-note/"' in menu and 'href="../../status/to-read/"' in menu
    assert 'href="../unet/"' not in menu
    assert len(page(site, "courses/cs336")) < 25_000


def test_search_finds_notes_and_authors_not_listings(site: Path) -> None:
    entries = json.loads((site / "search/search_index.json").read_text())["docs"]
    found = {e["location"]: e["text"] for e in entries}
    assert "Pieter Abbeel" in found["papers/ddpm/"] and "also DDPM" in found["papers/ddpm/"]
    assert not any(place.startswith(("tags", "years", "status", "kinds")) for place in found)
    assert "@inproceedings" not in found["papers/ddpm/"] and "papers/ddpm/#the-loss-term" in found


TRACES = ("nightjar", "secret-plan", "secret plan", "clandestine", "1987", "hidden-figure")


def test_a_private_note_is_nowhere_in_the_output(site: Path) -> None:
    for path in (p for p in site.rglob("*") if p.is_file()):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace").lower()
        for trace in TRACES:
            assert trace not in str(path.relative_to(site)).lower(), path
            if "assets/kb/katex" not in str(path) and "assets/javascripts" not in str(path):
                assert trace not in text, (trace, path)
    assert "private note" in article(site, "papers/unet") and ">the plan<" not in article(site, "papers/unet")


def test_notes_neither_run_scripts_nor_load_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r'<(?:img|script|iframe|link|source|video)[^>]*(?:src|href)="(?:https?:)?//', text), path
        assert "Content-Security-Policy" in text and "owned" not in text and "onerror" not in text
    html = article(site, "papers/unet")
    assert (
        'class="kb-remote" href="https://tracker.example/pixel.png"' in html and "page: video.example/embed/1" in html
    )


def test_callouts_hold_lists(site: Path) -> None:
    html = article(site, "papers/unet")
    assert re.search(
        r'<div class="admonition note">\s*<p class="admonition-title">Mind this</p>\s*<ul>\s*<li>a<ul>', html
    )


def test_mistakes_are_warnings_with_their_place(tmp_path: Path, make_vault: MakeVault) -> None:
    notes = {
        "index.md": HOME,
        "papers/a.md": "---\ntitle: A\nyear: next\n---\n\nSee\n[[nowhere]] and [[b#gone]] and [x](missing.md).\n",
        "papers/b.md": "---\ntitle: B: C\n---\n\nFine.\n",
        "papers/c.md": "no front matter\n",
    }
    warnings = build(make_vault(tmp_path, notes), quiet=True).warnings
    for told in (
        "notes/papers/a.md:3: schema: year: 'next' is not a year like 2020",
        "notes/papers/a.md:7: link: [[nowhere]] leads to no note",
        "notes/papers/a.md:7: link: missing.md leads to no note",
        "notes/papers/b.md:2: yaml:",
        "notes/papers/c.md:1: front-matter: no front matter",
    ):
        assert any(told in warning for warning in warnings), (told, warnings)
    assert len(warnings) == 5


@pytest.mark.parametrize(("setting", "count"), [("warn", 1), ("info", 0), ("ignore", 0)])
def test_the_level_of_problems_is_a_setting(tmp_path: Path, setting: str, count: int, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, {"papers/a.md": "---\ntitle: A\n---\n\n[[nowhere]]\n"})
    (root / "mkdocs.yml").write_text(
        f"site_name: x\ndocs_dir: notes\ntheme: {{name: material}}\nplugins: [{{kb: {{problems: {setting}}}}}]\n"
    )
    assert len(build(root, quiet=True).warnings) == count


def test_a_page_of_the_vault_s_own_comes_before_a_made_one(tmp_path: Path, make_vault: MakeVault) -> None:
    notes = {
        "papers/a.md": "---\ntitle: A\ntags: [x]\n---\n\nText.\n",
        "tags/x.md": "---\ntitle: Mine\nkind: topic\n---\n\nOwn words.\n",
    }
    report = build(make_vault(tmp_path, notes), quiet=True)
    own, front = article(report.site_dir, "tags/x"), article(report.site_dir, "")
    assert "Own words." in own and 'href="papers/a/">A</a>' not in own
    assert "kb-home" in front and "<h1>My papers</h1>" in front


def test_a_vault_s_own_settings_win(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, {"index.md": HOME, "papers/a.md": "---\ntitle: A\n---\n\n## H\n"})
    (root / "mkdocs.yml").write_text(
        "site_name: x\ndocs_dir: notes\nnav: [index.md]\nuse_directory_urls: false\n"
        "theme: {name: material, palette: {scheme: slate}}\nplugins: [search, kb]\n"
        "markdown_extensions: [{toc: {permalink: false}}]\n"
    )
    site = build(root, quiet=True).site_dir
    html = (site / "papers/a.html").read_text()
    assert 'data-md-color-scheme="slate"' in html and "headerlink" not in html and "../kinds/paper.html" in html

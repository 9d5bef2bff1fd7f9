"""Claims, verdicts and runs on the pages of the site, pure and built; and what private notes keep to themselves."""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reproductions import MODEL, TRAIN, claim, judged, record, segment, write

from kb.library import Library
from kb.pages import visible
from kb.pages.claim_pages import figures, generated, nav, reproductions, section
from kb.pages.plot import label, plot
from kb.results import Results, source_hash
from kb.site.build import build

MakeVault = Callable[[Path, dict[str, str]], Path]
NOTE = "---\ntitle: A <b> paper\nrepro: toy\n---\n\nText.\n"
NOTES = {"index.md": "---\ntitle: Home\n---\n", "papers/a.md": NOTE}
ROWS = [
    judged("T-1", ours="8x8 patches", data=["JPEG <copies>"], says="Noise & more", where="Table 2"),
    claim("T-2", tier="scale", recipes=["gpu-a"], ours="10,000 steps of 800,000"),
    claim("T-0", tier="exact", verdict="holds", effects=[35746307.0], expected=[35746307.0], recipes=[]),
]


def code(root: Path) -> str:
    write(root, code={"train.py": TRAIN.format(paper="toy"), "model.py": MODEL})
    return source_hash(root, "toy")


def runs(source: str, **given: Any) -> list[dict[str, Any]]:
    return [record(seed=s, source=source, figures=[f"smoke-s{s}-samples.png"], **given) for s in range(3)]


def shown(root: Path) -> Any:
    return reproductions(visible(Library(root)), Results(root))


def cells(html: str) -> list[list[str]]:
    """The text of each cell of each row of a table of claims."""
    table = re.search(r'<table class="kb-claims">.*?</table>', html, re.S)
    assert table
    rows = etree.fromstring(table[0]).iter("tr")
    return [["|".join(text.rstrip() for text in c.itertext() if text.strip()) for c in row] for row in rows]


# Pure


def test_the_table_has_our_setting_and_the_data_beside_each_verdict(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES)
    write(root, claims=ROWS, records=runs(code(root)))
    (one,) = shown(root)
    assert cells(section([one])) == [
        ["Verdict", "Claim", "The paper", "We measured"],
        ["holds", "What T-0 says|T-0 · exact · Table 1", "3.17", "35,746,307|setting| toy data"],
        ["holds", "Noise & more|T-1 · robust · Table 2", "3.17",
         "effect +0.12 [0.0703, 0.17], p 0.00913, 3 seeds|setting| 8x8 patches|data| JPEG <copies>"],
        ["not run", "What T-2 says|T-2 · scale · Table 1", "3.17",
         "setting| 10,000 steps of 800,000|to run|kb run toy gpu-a"],
    ]  # fmt: skip


def test_a_stale_verdict_says_so_and_why(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES)
    code(root)
    write(root, claims=ROWS, records=runs("0" * 16))
    html = section(shown(root))
    assert 'title="the code has changed since smoke-s0 ran">stale</span>' in html
    assert cells(html)[2][0] == "holds|stale" and html.count("data-stale") == 1
    assert html.count(">older code</span>") == 3


def test_a_run_tells_where_its_numbers_come_from(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES)
    later = {"device": "a GPU", "world_size": 2, "from_step": 100, "to_step": 2000, "peak_gib": 3.25}
    more = segment(source="1" * 16, dirty=True, torch="2.14.0", **later)
    stretches = [segment(source=code(root)), more]
    one = record(segments=stretches, done=False, metrics={"loss_nats": 0.5, "wer": None}, data="made <here>")
    write(root, claims=[], records=[one])
    html = section(shown(root))
    for told in (
        "<td>2,000 (not finished)</td>", "<td>3 in 2 parts</td>", "a CPU, 2 × a GPU</td>", "<td>2.13.0, 2.14.0</td>",
        "<code>0123456, 0123456 with changes</code>", "11111111</code>", "<td>3.25</td>", "made &lt;here&gt;",
        '<th>loss (nats)</th><td class="kb-value">0.5</td>', '<th>wer</th><td class="kb-value">not finite</td>',
        "<b>smoke</b><span>seed 0 · 3 min · a CPU, a GPU</span>", "python -m repro.toy.train smoke", "no claims yet",
    ):  # fmt: skip
        assert told in html, told


def test_many_commands_and_many_numbers_take_a_click(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES)
    rows = [claim("T-1", tier="scale", recipes=[f"gpu-{n}" for n in range(k)]) for k in (3, 4)]
    numbers = {f"n{n}": float(n) for n in range(25)}
    write(root, claims=rows, records=[record(metrics=numbers), record(recipe="few", metrics={"n0": 1.0})])
    html = section(shown(root))
    commands = [f"<code>kb run toy gpu-{n}</code>" for n in range(4)]
    assert f"<i>to run</i> {', '.join(commands[:3])}</div>" in html
    folded = f'<details class="kb-more"><summary>and 3 more</summary>{", ".join(commands[1:])}</details>'
    assert f"<i>to run</i> {commands[0]} {folded}</div>" in html
    assert html.count("<summary>25 numbers</summary>") == 1 and html.count('<table class="kb-metrics">') == 2


def test_data_of_several_seeds_take_a_click(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES)
    write(root, claims=[claim("T-1", data=["A & B, seed 0", "seed 1"]), claim("T-2", data=["numbers"])], records=[])
    html = section(shown(root))
    folded = '<details class="kb-more"><summary>and 1 more</summary>seed 1</details>'
    assert f"<i>data</i> A &amp; B, seed 0 {folded}</div>" in html and "<i>data</i> numbers</div>" in html


def test_several_seeds_share_a_plot(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES)
    write(root, claims=ROWS, records=runs(code(root)))
    html = section(shown(root))
    (svg,) = re.findall(r"<svg.*?</svg>", html)
    assert svg.count('<path class="kb-plot__line kb-plot__line--') == 3
    assert 'aria-label="loss (nats) over steps, smoke: seed 0 from 2 to 0.5; seed 1 from 2 to 0.6; seed 2' in svg
    assert [f'kb-key--{n}">seed {n}</span>' in html for n in range(3)] == [True] * 3
    assert 'alt="smoke: samples, seed 1"' in html and "<figcaption>samples, seed 1</figcaption>" in html


def test_a_claim_stands_on_the_page_of_the_note_that_it_names(tmp_path: Path, make_vault: MakeVault) -> None:
    second = "---\ntitle: Second\n---\n"
    root = make_vault(tmp_path, NOTES | {"papers/second.md": second})
    rows = [claim("A"), claim("B", note="second", recipes=["other"]), claim("C", note="nowhere")]
    write(root, claims=rows, records=[record(), record(recipe="other"), record(recipe="free")])
    first, other = shown(root)
    assert (first.note.id, [r.id for r in first.claims]) == ("a", ["A", "C"])
    assert (other.note.id, [r.id for r in other.claims]) == ("second", ["B"])
    assert [r.recipe for r in other.records] == ["other"] and {r.recipe for r in first.records} >= {"smoke", "free"}


def test_a_private_notes_claims_runs_and_pictures_appear_nowhere(tmp_path: Path, make_vault: MakeVault) -> None:
    secret = "---\ntitle: Nightjar\nrepro: hidden\nprivate: true\n---\n"
    root = make_vault(tmp_path, NOTES | {"papers/secret.md": secret})
    rows = [claim("OPEN"), claim("SHUT", note="secret", recipes=["covert"], says="Nightjar flies")]
    write(root, claims=rows, records=[record(), record(recipe="covert", figures=["covert-s0.png"])])
    write(root, "hidden", claims=[claim("SHUT-2", says="Nightjar sings")], records=[record("hidden", recipe="dark")])
    pages = generated(shown(root))
    text = section(shown(root)) + "".join(pages.values()) + str(figures(shown(root)))
    assert "OPEN" in text and not re.search("SHUT|covert|Nightjar|hidden|dark", text)
    site = build(root, quiet=True).site_dir
    for path in site.rglob("*"):
        assert "covert" not in path.name and "hidden" not in path.name
        if path.suffix in (".html", ".json", ".xml"):
            assert not re.search("SHUT|covert|Nightjar", path.read_text())


def test_without_a_reproduction_there_is_no_page(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, {"papers/a.md": "---\ntitle: A\n---\n"})
    write(root, claims=[claim()])
    assert shown(root) == [] and generated([]) == {} and nav([]) == []


def test_what_is_only_installed_is_shown_where_a_note_says_so(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, {"papers/ddpm.md": "---\ntitle: A\n---\n"})
    assert shown(root) == []
    make_vault(tmp_path, {"papers/ddpm.md": "---\ntitle: A\nrepro: ddpm\n---\n"})
    assert [(one.paper.name, one.paper.own, one.note.id) for one in shown(root)] == [("ddpm", False, "ddpm")]


def test_the_overview_counts_by_verdict_and_groups_by_paper(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES | {"papers/b.md": "---\ntitle: B\nrepro: other\n---\n"})
    code(root)
    write(root, claims=ROWS, records=runs("0" * 16))
    write(root, "other", claims=[claim("O-1")])
    pages = generated(shown(root))
    text = pages["claims/index.md"]
    tiles = re.findall(r'href="#([a-z-]+)"><b>(\d+)</b><span>([a-z ]+)</span>', text)
    assert tiles == [("all", "4", "all"), ("holds", "2", "holds"), ("not-run", "2", "not run"), ("stale", "1", "stale")]
    assert re.findall(r'class="kb-filter" id="([a-z-]+)"', text) == ["holds", "not-run", "stale"]
    assert re.findall(r"<h2><a href=\"([^\"]+)\">(.*?)</a>", text) == [
        ("../papers/b.md", "B"),
        ("../papers/a.md", "A &lt;b&gt; paper"),
    ]
    index = pages["reproductions/index.md"]
    assert "2 of the papers here can be run" in index and "<code>kb run toy</code> · 3 runs · a CPU" in index
    assert "<code>kb run other</code> · no run yet" in index


# Plots


def test_names_have_their_units() -> None:
    names = ("loss_nats", "bits_per_dim", "images_per_s", "peak_gib", "minutes", "loss", "wer", "grad_norm")
    assert [label(n) for n in names] == [
        "loss (nats)", "bits per dim", "images (per s)", "peak (GiB)", "minutes", "loss", "wer", "grad norm",
    ]  # fmt: skip


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in etree.fromstring(svg).iter("text")]


def lines(svg: str) -> list[str]:
    return re.findall(r'class="kb-plot__line[^"]*" d="([^"]*)"', svg)


def test_a_plot_has_round_ticks_and_its_line_inside() -> None:
    svg = plot([[(0, 1.0), (100, 3.0)]], "step", "loss (nats)", "told")
    assert texts(svg) == ["1", "1.5", "2", "2.5", "3", "0", "50", "100", "loss (nats)", "step"]
    assert lines(svg) == ["M46 174L344 24"] and etree.fromstring(svg).get("aria-label") == "told"


def test_large_ranges_are_logarithmic() -> None:
    svg = plot([[(0, 100.0), (1, 0.01)]], "step", "loss", "")
    assert texts(svg)[:5] == ["0.01", "0.1", "1", "10", "100"] and "loss, log scale" in texts(svg)
    assert "log scale" not in plot([[(0, 100.0), (1, -0.01)]], "step", "loss", "")
    assert texts(plot([[(0, 40.0), (1, 1.2)]], "step", "loss", ""))[:4] == ["2", "5", "10", "20"]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([(0, 1.0), (1, 2.0), (2, None), (3, 2.0), (4, 1.0)], ["M46 174L120.5 24M269.5 24L344 174"]),
        ([(0, 1.0), (1, None), (2, None), (3, None), (4, 2.0)], ["M46 174L344 24"]),
        ([(5, 5.0)], ["M195 99L195 99"]),
        ([(0, None)], []),
    ],
)
def test_what_is_missing_breaks_a_line_and_what_is_rare_is_joined(curve: list[Any], expected: list[str]) -> None:
    assert lines(plot([curve], "step", "x", "")) == expected


def test_a_plot_without_a_point_is_none() -> None:
    assert plot([], "step", "x", "") == "" and plot([[(0, None)]], "step", "x", "") == ""


def test_words_are_escaped() -> None:
    assert "&lt;a&gt;" in plot([[(0, 1.0)]], "<a>", "b", "c")


@pytest.mark.parametrize("low", [0.0, -5.0, 1e-9, 3.3e7, 1e-300])
@pytest.mark.parametrize("span", [0.0, 1e-6, 1.0, 7e8])
def test_every_range_has_a_few_ticks_and_stays_inside(low: float, span: float) -> None:
    svg = plot([[(0, low), (10, low + span)]], "step", "x", "")
    places = [float(n) for n in re.findall(r"[ML ](-?[\d.]+) (-?[\d.]+)", lines(svg)[0])[0]]
    assert all(0 <= p <= 360 for p in places) and 2 <= svg.count("kb-plot__rule") <= 8


# Built


@pytest.fixture
def site(tmp_path: Path, make_vault: MakeVault) -> Path:
    root = make_vault(tmp_path, NOTES)
    write(root, claims=ROWS, records=runs(code(root)))
    report = build(root, strict=True, quiet=True)
    return report.site_dir


def test_the_built_pages(site: Path) -> None:
    page = (site / "papers/a/index.html").read_text()
    assert (
        'id="reproduction"' in page
        and 'id="claims"' in page
        and 'id="runs"' in page
        and page.count('<svg class="kb-plot"') == 1
    )
    for number in range(3):
        name = f"assets/repro/toy/smoke-s{number}-samples.png"
        assert f'src="../../{name}"' in page and (site / name).read_bytes().startswith(b"\x89PNG")
    claims = (site / "claims/index.html").read_text()
    assert 'href="../papers/a/"' in claims and 'href="../reproductions/"' in claims
    assert "kb:" not in page.replace("kb:generator", "")


def test_a_damaged_record_is_a_warning_of_the_build(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, NOTES)
    folder = write(root, claims=ROWS, records=runs("0" * 16))
    (folder / "runs/smoke-s1.json").write_text("{")
    warnings = build(root, quiet=True).warnings
    assert [w for w in warnings if "repro/toy/runs/smoke-s1.json:1: record: no JSON" in w]

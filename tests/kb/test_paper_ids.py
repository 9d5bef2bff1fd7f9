"""Every way of naming a paper that people paste, and what only looks like one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.id_rules import fault, isbn13, plain_doi
from kb.ids import PAPER_KEYS, Source, identify

SHA = "5c126ae3421f05768d8edd97ecd44b1364e2c99a"
PMC = "https://pmc.ncbi.nlm.nih.gov/articles/PMC3531190/"
NAMES = {
    ("arxiv", "2006.11239"): """
        arXiv:2006.11239v2 [cs.LG]
        arXiv:2006.11239v2  [cs.LG]  16 Dec 2020
        ARXIV:2006.11239
        https://arxiv.org/html/2006.11239v2#S3.SS1
        https://arxiv.org/pdf/2006.11239v2.pdf
        https://arxiv.org/abs/2006.11239?context=cs
        https://export.arxiv.org/abs/2006.11239v1
        http://de.arxiv.org/abs/2006.11239
        https://www.alphaxiv.org/overview/2006.11239
        https://alphaxiv.org/abs/2006.11239v1
        https://www.alphaxiv.org/zh/overview/2006.11239v2
        https://hf.co/papers/2006.11239
        https://huggingface.co/papers/2006.11239#community
        https://huggingface.co/api/papers/2006.11239
        https://ar5iv.org/abs/2006.11239
        https://ar5iv.labs.arxiv.org/html/2006.11239v2
        https://www.semanticscholar.org/arxiv/2006.11239
        https://api.semanticscholar.org/graph/v1/paper/arXiv:2006.11239?fields=title
        https://papers.cool/arxiv/2006.11239
        https://scirate.com/arxiv/2006.11239
        10.48550/arXiv.2006.11239v2
        https://doi.org/10.48550/arXiv.2006.11239
        arxiv.org/abs/2006.11239
    """,
    ("arxiv", "math/0309136"): """
        math/0309136
        math.GT/0309136v1
        https://arxiv.org/abs/math.GT/0309136v2
        arXiv:math/0309136 [math.GT]
        https://doi.org/10.48550/arXiv.math/0309136
    """,
    ("arxiv", "0704.0001"): "0704.0001v2",
    ("doi", "10.1145/3442188.3445922"): """
        https://dl.acm.org/doi/10.1145/3442188.3445922
        https://dl.acm.org/doi/pdf/10.1145/3442188.3445922?download=true
        https://dl.acm.org/doi/abs/10.1145/3442188.3445922
        doi:10.1145/3442188.3445922.
        DOI 10.1145/3442188.3445922
        https://dx.doi.org/10.1145/3442188.3445922
        https://www.doi.org/10.1145/3442188.3445922
        https://doi.org/doi:10.1145/3442188.3445922
        https://api.crossref.org/works/10.1145/3442188.3445922
        https://other.example.org/doi/full/10.1145/3442188.3445922
    """,
    ("doi", "10.1007/s11263-015-0816-y"): """
        https://link.springer.com/article/10.1007/s11263-015-0816-y
        https://link.springer.com/content/pdf/10.1007/s11263-015-0816-y.pdf
    """,
    ("doi", "10.1002/int.20318"): """
        https://onlinelibrary.wiley.com/doi/10.1002/int.20318
        https://onlinelibrary.wiley.com/doi/full/10.1002/int.20318
        https://onlinelibrary.wiley.com/doi/epdf/10.1002/int.20318
    """,
    ("doi", "10.1002/(sici)1097-0258(19980815)17:15/16<1661::aid-sim968>3.0.co;2-2"): """
        https://doi.org/10.1002/(SICI)1097-0258(19980815)17:15/16%3C1661::AID-SIM968%3E3.0.CO;2-2
        10.1002/(SICI)1097-0258(19980815)17:15/16<1661::AID-SIM968>3.0.CO;2-2
    """,
    ("doi", "10.1038/nature14539"): """
        https://www.nature.com/articles/nature14539
        https://www.nature.com/articles/nature14539.pdf
        nature.com/articles/nature14539/figures/1
    """,
    ("doi", "10.1101/2021.10.04.463034"): """
        https://www.biorxiv.org/content/10.1101/2021.10.04.463034v2
        https://www.biorxiv.org/content/10.1101/2021.10.04.463034v1.full.pdf
        https://www.biorxiv.org/content/10.1101/2021.10.04.463034.abstract
    """,
    ("doi", "10.1371/journal.pone.0185809"): """
        https://journals.plos.org/plosone/article?id=10.1371/journal.pone.0185809
    """,
    ("doi", "10.1103/physrevlett.116.061102"): """
        https://journals.aps.org/prl/abstract/10.1103/PhysRevLett.116.061102
    """,
    ("doi", "10.1016/s0140-6736(96)01234-5"): "10.1016/S0140-6736(96)01234-5",
    ("acl", "P19-1001"): """
        P19-1001
        acl:P19-1001
        https://aclanthology.org/P19-1001/
        https://aclanthology.org/P19-1001v2.pdf
        https://www.aclweb.org/anthology/P19-1001.bib
        https://aclanthology.info/papers/P19-1001
        http://aclweb.org/anthology/P/P19/P19-1001.pdf
    """,
    ("acl", "2020.acl-main.0"): "https://aclanthology.org/volumes/2020.acl-main/",
    ("acl", "P19-1000"): "https://aclanthology.org/volumes/P19-1/",
    ("acl", "W18-5400"): "https://aclanthology.org/volumes/W18-54/",
    ("openreview", "rJ4km2R5t7"): """
        https://openreview.net/forum?id=rJ4km2R5t7
        https://openreview.net/pdf?id=rJ4km2R5t7
        https://openreview.net/notes?id=rJ4km2R5t7
        https://api2.openreview.net/notes?id=rJ4km2R5t7
        https://openreview.net/attachment?id=rJ4km2R5t7&name=pdf
        openreview:rJ4km2R5t7
    """,
    ("s2", SHA): f"""
        S2:{SHA}
        https://www.semanticscholar.org/paper/Denoising-Diffusion-Ho-Jain/{SHA}
        https://www.semanticscholar.org/paper/{SHA}
        https://www.semanticscholar.org/paper/A-b/{SHA}/figure/3
        https://www.semanticscholar.org/reader/{SHA}
        https://api.semanticscholar.org/graph/v1/paper/{SHA}
        https://api.semanticscholar.org/graph/v1/paper/URL:https://www.semanticscholar.org/paper/{SHA}
    """,
    ("s2", "CorpusID:219955663"): """
        CorpusID:219955663
        corpusid: 219955663
        s2:CorpusID:219955663
        https://api.semanticscholar.org/CorpusID:219955663
        https://api.semanticscholar.org/graph/v1/paper/CorpusId:219955663
    """,
    ("openalex", "W2741809807"): """
        W2741809807
        openalex:W2741809807
        https://openalex.org/W2741809807
        https://openalex.org/works/w2741809807
        https://api.openalex.org/works/W2741809807
    """,
    ("pmid", "23193287"): """
        PMID:23193287
        PMID: 23193287
        pmid 23193287
        https://pubmed.ncbi.nlm.nih.gov/23193287/
        https://www.ncbi.nlm.nih.gov/pubmed/23193287
        https://europepmc.org/article/MED/23193287
    """,
    ("url", PMC): """
        PMC3531190
        PMCID: PMC3531190
        https://www.ncbi.nlm.nih.gov/pmc/articles/PMC3531190/pdf/gks1195.pdf
        https://pmc.ncbi.nlm.nih.gov/articles/PMC3531190
        https://europepmc.org/article/PMC/PMC3531190
    """,
    ("isbn", "9780262035613"): """
        ISBN 978-0-262-03561-3
        isbn:9780262035613
        ISBN-13: 978 0 262 03561 3
        ISBN-10: 0-262-03561-8
        978-0-262-03561-3
        https://openlibrary.org/isbn/0262035618
    """,
    ("url", "https://openreview.net/group?id=ICLR.cc/2024/Conference"): """
        https://openreview.net/group?id=ICLR.cc/2024/Conference
    """,
    ("url", "https://example.org/blog/10.1000/xyz"): "https://example.org/blog/10.1000/xyz",
    ("url", "https://link.springer.com/journal/11263"): "https://link.springer.com/journal/11263",
    ("url", "https://arxiv.org/abs/2413.00001"): "https://arxiv.org/abs/2413.00001",
    ("url", "https://pubmed.ncbi.nlm.nih.gov/?term=x"): "https://pubmed.ncbi.nlm.nih.gov/?term=x",
    ("url", "http://[::1/x"): "http://[::1/x",
}


@pytest.mark.parametrize(
    ("text", "named"), [(line.strip(), name) for name, lines in NAMES.items() for line in lines.strip().splitlines()]
)
def test_what_names_a_paper(text: str, named: tuple[str, str]) -> None:
    assert identify(text) == Source(*named)
    assert fault(text) == "" or named[0] == "url"


@pytest.mark.parametrize(
    "text",
    ["2413.00001", "2401.1", "2401.1234", "0704.00011", "0703.0001", "10.99", "https://", "http:///x", "foo/0309136",
     "hep-th/9913001", "hep-th/1204001", "v1.2", "1.5.0", "978-0-262-03561-4", "W123", SHA, "PMID: x", "10.1000"],
)  # fmt: skip
def test_what_names_nothing(text: str) -> None:
    assert identify(text) is None


def test_a_note_written_with_a_subject_class_has_the_same_work() -> None:
    tokens = {Source("arxiv", value).token for value in ("math.GT/0309136", "math/0309136", "MATH/0309136v2")}
    assert tokens == {"arxiv:math/0309136"}


LOOK = "they look like 2006.11239 or hep-th/9901001"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2413.00001", f"'2413.00001' is no arXiv id: there is no month 13; {LOOK}"),
        ("arXiv:2400.00001v2", f"'arXiv:2400.00001v2' is no arXiv id: there is no month 00; {LOOK}"),
        ("2401.1", f"'2401.1' is no arXiv id: an id of 2024 ends in 5 digits; {LOOK}"),
        ("0704.00011", f"'0704.00011' is no arXiv id: an id of 2007 ends in 4 digits; {LOOK}"),
        ("0601.0001", f"'0601.0001' is no arXiv id: there were none of this form before April 2007; {LOOK}"),
        (
            "https://arxiv.org/pdf/2413.00001v1.pdf",
            f"'https://arxiv.org/pdf/2413.00001v1.pdf' is no arXiv id: there is no month 13; {LOOK}",
        ),
        ("arXiv:hello", f"'arXiv:hello' is no arXiv id; {LOOK}"),
        ("hep-th/9913001", f"'hep-th/9913001' is no arXiv id; {LOOK}"),
        ("10.99", "'10.99' is no DOI; they look like 10.1109/5.726791"),
        ("doi:10.1109", "'doi:10.1109' is no DOI; they look like 10.1109/5.726791"),
        ("https://", "'https://' names no host; give the whole URL"),
        ("https:///abs/2006.11239", "'https:///abs/2006.11239' names no host; give the whole URL"),
        (
            "ISBN 978-0-262-03561-4",
            "'ISBN 978-0-262-03561-4' is no ISBN: its length or its check digit is not right; check the number",
        ),
        ("S2:12ab", "'S2:12ab' is no such id: it is 40 hexadecimal digits; check it"),
        ("PMID:many", "'PMID:many' is no such id: it is a number of up to 8 digits; check it"),
        ("openalex:123", "'openalex:123' is no such id: it is W and a number; check it"),
        ("a title of a paper", ""),
        ("https://example.org", ""),
        ("https://user@example.org:81/x", ""),
        ("https://[::1]/x", ""),
    ],
)
def test_why_a_text_is_no_id(text: str, why: str) -> None:
    assert fault(text) == why


def test_the_command_says_so_and_exits_with_2(
    make_vault: Callable[..., Path], run_kb: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_kb(make_vault({}), "add", "2413.00001", "--offline")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"kb: '2413.00001' is no arXiv id: there is no month 13; {LOOK}\n"


@given(st.text(max_size=40) | st.from_regex(r"(arxiv:|doi:|isbn|pmid:|https?://)[\d./a-z-]{0,20}", fullmatch=True))
def test_a_reference_is_named_or_faulted_and_never_fails(text: str) -> None:
    found, why = identify(text), fault(text)
    assert found is None or found.key
    assert len(why.splitlines()) <= 1 or "\n" in text or "\r" in text


@given(
    st.sampled_from(
        [Source(*name) for name in NAMES if name[0] in PAPER_KEYS and "<" not in name[1]]
        + [Source("acl", "2020.acl-main.442")]
    )
)
def test_an_ids_page_and_its_spelling_name_it_again(source: Source) -> None:
    by_page, by_spelling = identify(source.url), identify(f"{source.key}:{source.value}")
    assert by_page is not None and by_page.token == source.token
    assert by_spelling is not None and by_spelling.token == source.token


@given(st.integers(0, 999_999_999))
def test_isbns_of_both_lengths_agree(number: int) -> None:
    digits = f"{number:09}"
    check = next(c for c in "0123456789X" if isbn13(digits + c))
    whole = isbn13(digits + check)
    assert len(whole) == 13 and isbn13(whole) == whole and whole[3:12] == digits
    wrong = whole[:-1] + str((int(whole[-1]) + 1) % 10)
    assert isbn13(wrong) == ""


def test_dois_lose_the_punctuation_of_the_sentence_only() -> None:
    texts = ["10.1/a).", "10.1/(a)", "10.1/a(b)c],", '10.1/a"', "10.1/x<y>"]
    assert [plain_doi(t) for t in texts] == ["10.1/a", "10.1/(a)", "10.1/a(b)c", "10.1/a", "10.1/x<y>"]

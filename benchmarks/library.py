"""A library of any size to measure on: the same bytes for the same seed, in our layout and in papis'."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

RARE = "zyzzyva"  # stands in three notes of the whole library
COMMON = "model"  # stands in nearly every note
_SYLLABLES = re.findall("..", "bacedifoguhajekilomunapeqirasetivowaxezu")
_STATUSES = {"to-read": 450, "read": 400, "inbox": 100, "dropped": 48, "reading": 2}  # of a thousand
_GIVEN = ["Ada", "Alan", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace", "John", "Leslie", "Margaret"]
_TAGS = ["diffusion", "llm", "speech", "vision", "rl", "evaluation", "retrieval", "distillation", "lora", "systems"]
_VENUES = ["NeurIPS", "ICML", "ICLR", "ACL", "EMNLP", "CVPR", "Interspeech", "TMLR"]


@dataclass(frozen=True)
class Work:
    """One made-up paper."""

    id: str
    title: str
    authors: list[str]
    year: int
    venue: str
    arxiv: str
    doi: str
    tags: list[str]
    status: str
    added: str
    cite: str
    abstract: str
    body: str


def works(count: int, seed: int = 0) -> Iterator[Work]:
    """`count` papers of about 3 KB, each linking to three others."""
    rng = random.Random(seed)
    words = [a + b for a in _SYLLABLES for b in _SYLLABLES] + [a + b + c for a, b, c in _triples(rng, 3000)]
    weights = list(itertools.accumulate(1 / (n + 10) for n in range(len(words))))  # as often as words of a language are
    rare = set(rng.sample(range(count), min(3, count)))
    for n in range(count):
        title = " ".join(rng.choices(words, cum_weights=weights, k=7)).capitalize()
        year, month = rng.randint(2010, 2025), rng.randint(1, 12)
        people = [f"{rng.choice(_GIVEN)} {rng.choice(words).capitalize()}" for _ in range(rng.randint(1, 5))]
        yield Work(
            id=_id(n),
            title=f"{title} {n}",
            authors=people,
            year=year,
            venue=rng.choice(_VENUES),
            arxiv=f"{year % 100:02}{month:02}.{n % 100_000:0{5 if year >= 2015 else 4}}"[: 10 if year >= 2015 else 9],
            doi=f"10.5555/{n:06}.{rng.randint(0, 9999)}",
            tags=rng.sample(_TAGS, 3),
            status=rng.choices(list(_STATUSES), list(_STATUSES.values()))[0],
            added=f"{rng.randint(2020, 2025)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
            cite=f"{people[0].split()[1].lower()}{year}{n}",
            abstract=" ".join(rng.choices(words, cum_weights=weights, k=60)),
            body=_body(rng, words, weights, n, count, n in rare),
        )


def _triples(rng: random.Random, count: int) -> Iterator[list[str]]:
    return (rng.choices(_SYLLABLES, k=3) for _ in range(count))


def _id(n: int) -> str:
    return f"work-{n:06}"


def _body(rng: random.Random, words: list[str], weights: list[float], n: int, count: int, rare: bool) -> str:
    paragraphs = []
    for heading in ("What it does", "How", "What I think"):
        text = rng.choices(words, cum_weights=weights, k=130)
        text[rng.randrange(130)] = COMMON
        text[rng.randrange(130)] = f"[[{_id(rng.randrange(count))}]]"
        if rare and heading == "How":
            text[50] = RARE
        paragraphs.append(f"## {heading}\n\n{' '.join(text).capitalize()}.\n")
    return "\n".join(paragraphs)


def write_notes(root: Path, found: Iterator[Work]) -> None:
    """A vault of ours: notes/papers/<id>.md with 13 keys each."""
    folder = root / "notes" / "papers"
    folder.mkdir(parents=True)
    (root / "mkdocs.yml").write_text("site_name: library\nplugins: [search, kb]\ndocs_dir: notes\n")
    for w in found:
        keys = {
            "title": w.title, "kind": "paper", "status": w.status, "authors": f"[{', '.join(w.authors)}]",
            "year": w.year, "venue": w.venue, "arxiv": f'"{w.arxiv}"', "doi": w.doi, "added": w.added,
            "tags": f"[{', '.join(w.tags)}]", "aliases": f"[Alias {w.id}]", "cite": w.cite, "abstract": w.abstract,
        }  # fmt: skip
        if w.status in ("reading", "read"):
            keys["started"] = w.added
        if w.status == "read":
            keys["finished"] = w.added
        head = "".join(f"{key}: {value}\n" for key, value in keys.items())
        (folder / f"{w.id}.md").write_text(f"---\n{head}---\n\n{w.body}")


def write_papis(root: Path, found: Iterator[Work], apart: bool = False) -> None:
    """The same works as papis keeps them: a folder each, with info.yaml as it writes them. The text stands there too,
    under a key and on one line, since papis searches nothing else; or `apart`, in notes.md, where it costs nothing and
    is not found."""
    for w in found:
        folder = root / w.id
        folder.mkdir(parents=True)
        people = [{"family": name.split()[1], "given": name.split()[0]} for name in w.authors]
        known = {
            "papis_id": w.id, "title": w.title, "type": "article", "author": " and ".join(w.authors),
            "author_list": people, "year": w.year, "journal": w.venue, "eprint": w.arxiv, "eprinttype": "arxiv",
            "doi": w.doi, "tags": w.tags, "ref": w.cite, "readstatus": w.status, "time-added": f"{w.added}-00:00:00",
            "abstract": w.abstract, "text": " ".join(w.body.split()),
        }  # fmt: skip
        if apart:
            known |= {"text": "", "notes": "notes.md"}
            (folder / "notes.md").write_text(w.body)
        with (folder / "info.yaml").open("w") as file:
            yaml.dump(known, file, yaml.CSafeDumper, allow_unicode=True, default_flow_style=False)

"""Preprints and what is published of them: which venue, DOI and year can only be a preprint's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# arXiv, SSRN, Preprints.org, Research Square, OSF, ChemRxiv, TechRxiv, Authorea; bioRxiv and medRxiv
_SERVERS = re.compile(
    r"10\.(48550|2139|20944|21203|3121[29]|3123[45]|26434|36227|22541)/|10\.1101/(\d{4}\.\d\d\.\d\d\.)?\d{6,8}", re.I
)
_VENUE = re.compile(
    r"\b((ar|bio|med|chem|psyar|tech|eng)\s?r?xiv|corr|ssrn|e?-?preprints?|e-?prints?|research square|under review)\b",
    re.I,
)

_BEGAN = re.compile(r"(?:[a-z-]+(?:\.[a-z]{2})?/)?(\d\d)\d\d", re.I)


def is_preprint_doi(doi: str) -> bool:
    """True for a DOI that a preprint server gave."""
    return _SERVERS.match(doi) is not None


def is_preprint_venue(venue: str) -> bool:
    """True for what is no place of publication: 'arXiv', 'CoRR', 'arXiv preprint arXiv:2006.11239'."""
    return _VENUE.search(venue) is not None


def is_published(meta: Mapping[str, Any]) -> bool:
    """Whether a front matter names a place of publication."""
    venue = str(meta.get("venue") or "")
    return bool(venue) and not is_preprint_venue(venue)


def preprint_year(meta: Mapping[str, Any]) -> int | None:
    """The year in which a work came out as a preprint, by its arXiv id."""
    m = _BEGAN.match(str(meta.get("arxiv") or ""))
    return (2000 if int(m[1]) < 91 else 1900) + int(m[1]) if m else None

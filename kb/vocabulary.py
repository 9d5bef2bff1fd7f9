"""The words that notes are described in: kinds, statuses, and the services whose ids works bear."""

from __future__ import annotations

FOLDERS = {  # where a kind's notes are filed
    "paper": "papers", "talk": "talks", "lecture": "talks", "course": "courses", "post": "posts", "thread": "posts",
    "book": "books", "code": "code", "tool": "code", "dataset": "datasets", "topic": "topics", "log": "topics",
}  # fmt: skip
KINDS = tuple(FOLDERS)
PAGE = "page"  # the kind of what is a page of the site and no note: the guide, index.md
STATUSES = ("inbox", "to-read", "reading", "read", "dropped")
SERVICES = {
    "arxiv": "arXiv", "doi": "DOI", "acl": "ACL", "openreview": "OpenReview", "pmid": "PubMed",
    "s2": "Semantic Scholar", "openalex": "OpenAlex", "isbn": "ISBN",
}  # fmt: skip
# The keys that hold the id of a paper or book as its service writes it; the other keys hold URLs.
PAPER_KEYS = tuple(SERVICES)

"""kb: a knowledge base of papers, talks and posts kept as Markdown notes."""

__version__ = "0.1.0"

"""The laboratory: reproductions of papers, and what they share."""

from pkgutil import extend_path

# A vault of one's own may hold repro/<paper> too; it runs and is listed like those that are installed.
__path__ = extend_path(__path__, __name__)

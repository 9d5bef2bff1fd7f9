"""The optional parts of this distribution, and the command that installs one."""

from __future__ import annotations

from pathlib import Path

HOME = Path(__file__).resolve().parent.parent  # a checkout, or site-packages


def install(extra: str, home: Path = HOME, here: Path | None = None) -> str:
    """`pip install '.[site]'` in a checkout, with its path from elsewhere; by name where kb was installed by name."""
    project = home / "pyproject.toml"
    if not project.is_file() or 'name = "papers-you-can-run"' not in project.read_text("utf-8", "replace"):
        return f"pip install 'papers-you-can-run[{extra}]'"
    place = "." if (here or Path.cwd()).resolve() == home else str(home)
    return f"pip install '{place}[{extra}]'"

"""What every vault's site has without saying so. Whatever a vault's mkdocs.yml sets itself is left as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig

THEME = Path(__file__).parent / "theme"

_EXTENSIONS: dict[str, dict[str, Any]] = {
    "admonition": {},
    "attr_list": {},
    "footnotes": {},
    "tables": {},
    "toc": {"permalink": "#", "permalink_title": "Link to this section", "toc_depth": "2-4"},
    "pymdownx.details": {},
    "pymdownx.highlight": {"anchor_linenums": False},
    "pymdownx.quotes": {"callouts": True},
    "pymdownx.superfences": {},
    "pymdownx.tasklist": {"custom_checkbox": False},
    "pymdownx.tilde": {"subscript": False},
}
_FEATURES = [
    "content.code.copy",
    "navigation.tabs",
    "navigation.top",
    "search.highlight",
    "search.suggest",
    "toc.follow",
]
_PALETTE = [
    {
        "media": "(prefers-color-scheme)",
        "primary": "custom",
        "accent": "custom",
        "toggle": {"icon": "material/brightness-auto", "name": "Use the light theme"},
    },
    {
        "media": "(prefers-color-scheme: light)",
        "scheme": "default",
        "primary": "custom",
        "accent": "custom",
        "toggle": {"icon": "material/weather-sunny", "name": "Use the dark theme"},
    },
    {
        "media": "(prefers-color-scheme: dark)",
        "scheme": "slate",
        "primary": "custom",
        "accent": "custom",
        "toggle": {"icon": "material/weather-night", "name": "Follow the system's theme"},
    },
]


def apply(config: MkDocsConfig) -> None:
    """Fill in extensions, the theme's settings and our templates, stylesheet and script."""
    given = set(config.markdown_extensions)
    for name, options in _EXTENSIONS.items():
        if name not in given:
            config.markdown_extensions.append(name)
        config.mdx_configs[name] = options | (config.mdx_configs.get(name) or {})
    theme = config.theme
    if str(THEME) not in theme.dirs:
        theme.dirs.insert(1 if theme.custom_dir else 0, str(THEME))
    theme["font"] = False  # Material's default is to fetch one from another host
    theme["features"] = list(dict.fromkeys([*_FEATURES, *(theme.get("features") or [])]))
    if not theme.get("palette"):
        theme["palette"] = _PALETTE
    if theme.get("favicon") in (None, "assets/images/favicon.png"):
        theme["favicon"] = "assets/kb/icon.svg"
    if not theme.get("logo") and not (theme.get("icon") or {}).get("logo"):
        theme["logo"] = "assets/kb/icon.svg"
    if "assets/kb/kb.css" not in config.extra_css:
        config.extra_css.insert(0, "assets/kb/kb.css")

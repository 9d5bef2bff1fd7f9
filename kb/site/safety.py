"""What a note's own HTML may do on the site: it runs nothing and loads nothing from another host.

A page's policy (see theme/main.html) makes the browser refuse both; here what would be refused is taken out or turned
into a link, so that the reader sees what is there.
"""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from urllib.parse import urlsplit

from kb.formats.rich_text import ended


def _elsewhere(key: str) -> str:
    """An address that is no plain link and no path: javascript: in any disguise. Each search ends where the next could
    begin, so that all of them together read the page once."""
    return rf"""{key}\s*=\s*["']?(?!https?://|#)(?:(?!{key}\s*=)[^"'<>])*[:&\t\r\n]"""


_SUSPECT = tuple(  # most pages hold none of it and are not parsed again; a literal at the beginning makes a search fast
    re.compile(pattern)
    for pattern in (
        r"<(?:script|i?frame|object|embed|applet|link|meta|base|style|form|video|audio|source|track|img|image|use|input"
        r"|animate|set|portal|fencedframe)\b",
        "<!",  # browsers and Python do not agree on where a comment ends
        r"on[a-z]{2,40}\s*=",
        r"style\s*=(?:(?!style\s*=)[^>])*(?:url|import|\\)",
        *map(_elsewhere, ("href", "src", "action")),
        r"background\s*=",
        r"ping\s*=",
        "srcdoc",
        "mermaid",
    )
)
_DROPPED = {"script", "object", "embed", "applet", "base", "meta", "link", "style", "frame", "noscript", "template",
            "portal", "fencedframe", "animate", "animatemotion", "animatetransform", "set"}  # fmt: skip
_TAG = re.compile(r"[a-z][a-z0-9:-]*")
_NAME = re.compile(r"[^\s\"'<>/=\x00-\x1f]+")
_VOID = {"embed", "base", "meta", "link", "frame", "img", "source", "track", "input", "br", "hr"}
_LOADS = {"img": "image", "image": "image", "iframe": "page", "video": "video", "audio": "audio", "source": "file",
          "track": "file", "use": "image", "input": "image"}  # fmt: skip
_ADDRESSES = ("src", "href", "xlink:href", "data", "poster", "srcset", "background", "action", "formaction", "ping")


def safe_html(html: str) -> str:
    """The page's HTML without scripts and event handlers, and with a link in place of every load from another host."""
    lower = html.lower()
    if not any(pattern.search(lower) for pattern in _SUSPECT):
        return html
    parser = _Cleaner()
    parser.feed(ended(html))
    parser.close()
    return "".join(parser.out)


def is_remote(address: str) -> bool:
    """True for an address on another host, also the kind without a scheme (//host/path)."""
    address = re.sub(r"[\x00-\x20]", "", address).replace("\\", "/")
    try:
        parts = urlsplit(address)
    except ValueError:
        return True
    return bool(parts.netloc) or parts.scheme.lower() not in ("", "data", "blob", "mailto", "tel")


class _Cleaner(HTMLParser):
    """Copies HTML through; `out` holds what is left."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.out: list[str] = []
        self.dropping = ""  # the element whose content is left out
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.dropping:
            self.depth += tag == self.dropping
            return
        if tag in _DROPPED:
            self._drop(tag)
            return
        if not _TAG.fullmatch(tag):
            return
        source = next((value for key, value in attrs if value and key in ("src", "data", "href", "xlink:href")), "")
        if tag in _LOADS and source and is_remote(source):
            self.out.append(_stand_in(_LOADS[tag], source, dict(attrs).get("alt") or ""))
            if tag == "iframe":
                self._drop(tag)
            return
        self.out.append(_tag(tag, attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        before = len(self.out)
        self.handle_starttag(tag, attrs)
        if self.dropping == tag:
            self.dropping = ""
        elif len(self.out) > before and self.out[-1].startswith(f"<{tag}"):
            self.out[-1] = self.out[-1][:-1] + " />"

    def _drop(self, tag: str) -> None:
        if tag not in _VOID:
            self.dropping, self.depth = tag, 1

    def handle_endtag(self, tag: str) -> None:
        if self.dropping:
            self.depth -= tag == self.dropping
            if not self.depth:
                self.dropping = ""
        elif tag not in _DROPPED and _TAG.fullmatch(tag):
            self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Text; a tag that Python takes for text, and a browser for a tag, is one of them."""
        if not self.dropping:
            self.out.append(data.replace("<", "&lt;"))

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")


def _tag(tag: str, attrs: list[tuple[str, str | None]]) -> str:
    """A tag written anew from what was looked at, so that a browser reads nothing else in it."""
    kept = ((key, value) for key, value in attrs if _NAME.fullmatch(key) and _harmless(tag, key, value or ""))
    return f"<{tag}{''.join(_attribute(key, value) for key, value in kept)}>"


def _harmless(tag: str, key: str, value: str) -> bool:
    """Whether an attribute neither runs anything nor loads from another host."""
    squeezed = re.sub(r"[\x00-\x20]", "", value).lower()
    if key.startswith("on") or key in ("srcdoc", "ping", "http-equiv"):
        return False
    if key in _ADDRESSES and squeezed.startswith(("javascript:", "vbscript:")):
        return False
    if key in _ADDRESSES and squeezed.startswith(("data:", "blob:")):
        return tag == "img" and squeezed.startswith("data:image/")
    if key == "style":
        return "url(" not in squeezed and "@import" not in squeezed and "\\" not in squeezed
    if key == "class":
        return "mermaid" not in squeezed  # Material would fetch a script for it
    if key == "srcset":
        return not any(is_remote(part.split()[0]) for part in value.split(",") if part.strip())
    return not (key in _ADDRESSES and not (tag in ("a", "area") and key == "href") and is_remote(value))


def _attribute(key: str, value: str | None) -> str:
    return f" {key}" if value is None else f' {key}="{escape(value)}"'


def _stand_in(what: str, address: str, label: str) -> str:
    bare = re.sub(r"^(?:[a-z]+:)?//", "", address, flags=re.I)
    where = bare if len(bare) <= 60 else f"{bare[:60]}…"
    shown = f"{what}: {label} ({bare.partition('/')[0]})" if label else f"{what}: {where}"
    target = "https:" + address if address.startswith("//") else address
    if not re.match(r"https?://", target, re.I):
        return f'<span class="kb-remote">{escape(shown)}</span>'
    return f'<a class="kb-remote" href="{escape(target)}" rel="noreferrer">{escape(shown)}</a>'

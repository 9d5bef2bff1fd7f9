"""Mended mojibake: UTF-8 that was read as Windows-1252 or Windows-1254, repaired where one reading is possible.

ftfy mends most of it. What it cannot know are bytes that Windows-1254 (Turkish) has no character for and that were
dropped on the way: `ğ—ªğ—®ğ˜` was `𝗪𝗮𝘁`. A lost byte is put back where exactly one choice gives a character that people
write, and text that no repair improves stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product

_LOST = b"\x81\x8d\x8e\x8f\x90\x9d\x9e"  # bytes without a character in Windows-1254
_LEAD = "ğ"  # Windows-1254 for 0xF0, the first byte of every character beyond U+FFFF
_FOLLOW = "".join(
    sorted({c for b in range(0x80, 0xC0) if bytes([b]) not in _LOST for c in bytes([b]).decode("cp1254", "ignore")})
)
_RUN = re.compile(f"{_LEAD}[{re.escape(_FOLLOW)}]{{1,3}}")
_SUSPECT = re.compile("[ÃâğÂÄÅðï][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
_PLAIN_SANS_BOLD = range(0x1D5D4, 0x1D608)
_PRAYING_HANDS = 0x1F64F  # 🙁 🙍 🙎 lose the same byte; of the four it is the one that people write in thanks


def repair(text: str) -> str:
    """The text as it was before it was read in the wrong encoding; text that is in order comes back unchanged."""
    if not _SUSPECT.search(text):
        return text
    mended = _RUN.sub(lambda m: _character(m[0]), text)
    if not _SUSPECT.search(mended):
        return mended
    import ftfy

    config = ftfy.TextFixerConfig(
        uncurl_quotes=False, restore_byte_a0=False, unescape_html=False, remove_terminal_escapes=False,
        fix_latin_ligatures=False, fix_character_width=False, fix_line_breaks=False, fix_surrogates=False,
        remove_control_chars=False, normalization=None,
    )  # fmt: skip
    fixed = ftfy.fix_text(mended, config)
    return fixed if len(_SUSPECT.findall(fixed)) < len(_SUSPECT.findall(mended)) else mended


@lru_cache(maxsize=4096)
def _character(run: str) -> str:
    """`ğ` and what follows it, as the character it was; the run itself where that is not certain."""
    known = run.encode("cp1254")
    for length in range(len(known), 1, -1):  # the run may hold a character of its own at its end
        found = {c for c in _fillings(known[:length]) if _is_written(ord(c))}
        if len(found) > 1 and chr(_PRAYING_HANDS) in found:
            found = {chr(_PRAYING_HANDS)}
        if len(found) == 1:
            return found.pop() + run[length:]
    return run


def _fillings(known: bytes) -> set[str]:
    """Every character of four bytes that is `known` without those that Windows-1254 has no character for."""
    found = set()
    missing = 4 - len(known)
    for places in {tuple(sorted(p)) for p in product(range(1, 4), repeat=missing) if len(set(p)) == missing}:
        for lost in product(_LOST, repeat=missing):
            filled = list(known)
            for place, byte in zip(places, lost, strict=True):
                filled.insert(place, byte)
            try:
                found.add(bytes(filled).decode())
            except UnicodeDecodeError:
                continue
    return found


def _is_written(code: int) -> bool:
    """Bold letters that posts on social networks are made of, and emoji."""
    return (
        code in _PLAIN_SANS_BOLD
        or 0x1F300 <= code <= 0x1F64F
        or 0x1F680 <= code <= 0x1F6FF
        or 0x1F900 <= code <= 0x1FAFF
    )

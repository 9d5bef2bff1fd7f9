"""Mojibake: mended where one reading is possible, and nothing else touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.formats.mojibake import repair

CLEAN = [
    "Doğru ağaç dağda; ğ, Ğ, ş, İ ve ı harfleri",
    "Yağmur’un “ağır” günü – dağ…",
    "über die Größe schöner Äpfel, Straße",
    "l’été à l’École française, cœur, ça « là »",
    "español: mañana, ¿qué?, ¡sí!",
    "Ångström, smörgåsbord, Łódź, žluťoučký kůň",
    "深度学习 и Глубокое обучение, تعلم الآلة, בינה",
    "emoji 🙏 📌 🎥 ⭐ 👩‍💻, math ∑ αβ ≤ ∞ x² $x_t$",
    "quotes ‘a’ “b” — dash – … • † € ™ ©",
    "Ã is a letter, and so is ğ.",
    "bold 𝗪𝗮𝘁𝗰𝗵 and 𝑥",
    "",
]


@pytest.mark.parametrize("text", CLEAN)
def test_text_in_order_stays_as_it_is(text: str) -> None:
    assert repair(text) == text


def broken(text: str, codec: str) -> str:
    """UTF-8 read in a Windows code page; bytes without a character there are lost."""
    return text.encode().decode(codec, "ignore")


@pytest.mark.parametrize("codec", ["cp1252", "cp1254"])
@pytest.mark.parametrize(
    "text",
    [
        "It’s here",
        "“quoted”",
        "wait… what",
        "a – b",
        "a — b",
        "🎥 Talk",
        "🔥 new",
        "📌 pinned",
        "🚀 launch",
        "Größe",
        "café",
    ],
)
def test_what_was_read_in_the_wrong_encoding_is_mended(text: str, codec: str) -> None:
    damaged = broken(text, codec)
    if "\ufffd" in damaged or damaged.encode(codec) != text.encode():
        pytest.skip("bytes were lost on the way: more than one reading")
    assert repair(damaged) == text


@pytest.mark.parametrize(
    ("damaged", "text"),
    [
        ("ğŸ“Œ pinned", "📌 pinned"),
        ("ğŸ™ thanks", "🙏 thanks"),
        ("ğ—ªğ—®ğ˜ğ—°ğ—µ", "𝗪𝗮𝘁𝗰𝗵"),
        ("donâ€™t", "don’t"),
        ("â€œquotedâ€\x9d", "“quoted”"),
        ("ğŸ“Œ Doğru", "📌 Doğru"),
    ],
)
def test_lost_bytes_are_put_back_where_one_choice_is_left(damaged: str, text: str) -> None:
    assert repair(damaged) == text


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_repair_reads_anything_and_is_done_after_once(text: str) -> None:
    once = repair(text)
    assert repair(once) == once or len(repair(once)) <= len(once)


@given(st.text(alphabet="abcçdefgğhıijklmnoöprsştuüvyz ’“”–…ÇĞİÖŞÜ.,", max_size=60))
def test_turkish_stays_turkish(text: str) -> None:
    assert repair(text) == text


@given(st.text(alphabet="abcäöüßéèêàçœñ ’“”–…«».,;", max_size=60))
def test_german_french_and_spanish_stay(text: str) -> None:
    assert repair(text) == text

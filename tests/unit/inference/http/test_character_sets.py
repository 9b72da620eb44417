"""The character sets that clients may name."""

from __future__ import annotations

import codecs
from encodings.aliases import aliases

import pytest

from cetacean_inference.http.character_sets import character_set


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        (" Utf - 8 ", "utf_8"),
        ("ISO-8859-1", "latin_1"),
        ("iso.8859.1", "latin_1"),
        ("koi8-u", "koi8_u"),
        ("windows-1251", "cp1251"),
        ("utf-8-sig", "utf_8_sig"),
        ("us-ascii", "ascii"),
        ("nonsense", None),
        ("", None),
        ("base64", None),
        ("rot13", None),
        ("mbcs", None),
        ("aliases", None),
        ("a\0b", None),
        ("\ud800", None),
        ("utf-8" + " " * 35, "utf_8"),
        ("utf-8" + " " * 36, None),
    ],
)
def test_a_character_set_is_known_by_all_its_names(name: str, known: str | None) -> None:
    assert character_set(name) == known


@pytest.mark.parametrize("name", ["idna", "Punycode", "undefined", "unicode-escape", "raw.unicode escape"])
def test_another_codec_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a character set such as UTF-8, got "):
        character_set(name)


def test_every_known_one_is_a_character_set_and_no_name_is_too_long() -> None:
    for name in aliases.keys() | aliases.values():
        if (known := character_set(name)) is not None:
            assert codecs.lookup(name).name == codecs.lookup(known).name
            assert isinstance(b"".decode(known), str)
    assert {character_set(name) for name in aliases if "_codec" not in aliases[name]} >= {"cp1252", "utf_16", "big5"}

"""Character sets that clients name.

Python remembers every name that it is asked for, also those of none, so it is asked for known ones only.
"""

from __future__ import annotations

from collections.abc import Mapping
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final

_WITHOUT_ALIAS: Final = (
    "cp1006",
    "cp720",
    "cp737",
    "cp856",
    "cp874",
    "cp875",
    "iso8859_1",
    "koi8_t",
    "koi8_u",
    "mac_arabic",
    "mac_croatian",
    "mac_farsi",
    "mac_romanian",
    "palmos",
    "utf_8_sig",
)
_FROM_BYTES_TO_BYTES: Final = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
_OF_WINDOWS_ONLY: Final = frozenset({"mbcs", "oem"})
_KNOWN: Final[Mapping[str, str]] = {
    name: codec
    for codec, names in {
        **{codec: (codec,) for codec in _WITHOUT_ALIAS},
        **{codec: (codec, *(name for name, other in aliases.items() if other == codec)) for codec in aliases.values()},
    }.items()
    for name in names
    if codec not in _FROM_BYTES_TO_BYTES | _OF_WINDOWS_ONLY
}
"""Python's character sets by all their names."""
_OTHER_CODECS: Final = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
"""Codecs that Python has beside character sets: slow with long text, or with errors and results of their own."""
_LONGEST: Final = 40
"""No name of a character set is as long; a longer one may be a whole head."""


def character_set(name: str) -> str | None:
    """Return Python's name of a character set; None if there is none of this name.

    Raises:
        ValueError: the name is that of a codec which is no character set.
    """
    if len(name) > _LONGEST:
        return None
    normal = normalize_encoding(name).replace(".", "_").lower()
    if normal in _OTHER_CODECS:
        raise ValueError(f"expected a character set such as UTF-8, got {name!r}")
    return _KNOWN.get(normal)

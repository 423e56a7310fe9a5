"""The letters that a PDF is written in: FiraGO, embedded, as far as they are used.

It has Latin, Greek, Cyrillic, Georgian, Arabic, Hebrew, Devanagari and Thai letters. For others,
Chinese ones and pictures among them, `MISSING` stands, and they are counted: a file says what it
lacks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from pathlib import Path

from pymupdf_fonts import myfont

FAMILY = "firago"
MISSING = "▯"
# fpdf's style, the name that the package gives the font, and its file.
_FONTS = (("", "figo"), ("B", "figbo"))
_ALIKE = str.maketrans({"✓": "+", "✗": "x", "\u202f": "\u00a0", "\t": " "})
# Hebrew, Arabic and their neighbours run from right to left or join; marks of India's letters and
# of Thai's have their places.
_JOINING = ((0x0590, 0x109F), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFF))


def font_files(directory: Path) -> dict[str, Path]:
    """Write the font's files and return them by fpdf's style."""
    files = {}
    for style, name in _FONTS:
        files[style] = directory / f"{name}.ttf"
        files[style].write_bytes(myfont(name))
    return files


def showable(text: str, letters: Container[int]) -> tuple[str, int]:
    """Return a text as `letters` can show it, and how many of its letters they lack.

    What nobody sees (directions, joiners, variants of a picture) goes without a word.
    """
    found, missing = [], 0
    for letter in unicodedata.normalize("NFC", text).translate(_ALIKE):
        if letter == "\n" or ord(letter) in letters:
            found.append(letter)
        elif unicodedata.category(letter) == "Cc":
            found.append(" ")
        elif not _unseen(letter):
            found.append(MISSING)
            missing += 1
    return "".join(found), missing


def joins(text: str) -> bool:
    """Whether letters of a text have other shapes or another order when they stand together."""
    return any(first <= ord(letter) <= last for letter in text for first, last in _JOINING)


def _unseen(letter: str) -> bool:
    return unicodedata.category(letter) == "Cf" or 0xFE00 <= ord(letter) <= 0xFE0F

"""Tables of text for a terminal."""

import unicodedata
from collections.abc import Sequence

WIDEST = 40  # columns of a cell; the last one of a row is never cut


def shown(text: str) -> str:
    """A text without control characters: a catalogue's text never controls the terminal."""
    return "".join(" " if unicodedata.category(letter) in {"Cc", "Cf"} else letter for letter in text)


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column but the last is."""
    columns = list(zip(*rows, strict=True))[:-1]
    return [min(max(_width(shown(cell)) for cell in column), WIDEST) for column in columns]


def aligned(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """Lines with columns of these widths."""
    lines = []
    for *cells, last in rows:
        fitted = [_fitted(shown(cell), width) for cell, width in zip(cells, widths, strict=True)]
        lines.append("  ".join([*fitted, shown(last)]).rstrip() + "\n")
    return "".join(lines)


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(letter) in {"W", "F"} for letter in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def _fitted(text: str, width: int) -> str:
    if _width(text) > width:
        text = text[: 4 * width]  # letters, some of them without a width
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _width(text))

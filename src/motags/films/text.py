"""Which text of a film is read: training and tagging read alike."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from motags.films.values import LISTS, Unreadable, id_text, plain_text

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
TextOrder = Literal["plot_first", "synopsis_first", "both"]


TextField = Literal["title", "tagline", "text"]
FIELDS: tuple[TextField, ...] = ("title", "tagline", "text")
ENDS = (".", "!", "?", "…")  # of a title that needs no full stop


@dataclass(frozen=True)
class Entry:
    """All that is known of a film when it is tagged.

    Attributes:
        text: what is read of its texts, "" where the catalogue has none.
        lists: names by column (directors, writers, cast, companies, countries, languages).
        year, runtime: of the release; in minutes.
        poster, trailer: paths of files, from the working folder.
        vectors: (d,) float32 each, by the kind of evidence that it is.
    """

    id: str
    title: str | None
    text: str
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    year: int | None = None
    runtime: int | None = None
    poster: str | None = None
    trailer: str | None = None
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)

    def with_vectors(self, vectors: Mapping[str, np.ndarray]) -> "Entry":
        """The film with vectors beside those that it has, by kind."""
        return replace(self, vectors={**self.vectors, **vectors}) if vectors else self


@dataclass(frozen=True)
class TextRules:
    """Which text of a film is read: the column `text` if it has one, else as section `dataset` of params.yaml says."""

    text: TextOrder = "plot_first"
    lead: bool = True
    min_plot_words: int = 60
    max_words: int = 400
    fields: tuple[TextField, ...] = FIELDS

    @classmethod
    def of(cls, dataset: Any, fields: Sequence[TextField]) -> "TextRules":
        """As a section `dataset` says, and `tagger.fields`."""
        return cls(dataset.text, dataset.lead, dataset.min_plot_words, dataset.max_words, tuple(fields))

    def with_text(self, text: TextOrder | None) -> "TextRules":
        """The same with another `text`, if one is given."""
        return replace(self, text=text) if text else self

    def entry(self, row: Any) -> Entry | str:
        """The film of a row, or the reason why it can't be used."""
        if isinstance(row, Unreadable):
            return row
        if not isinstance(row, dict):
            return f"a {type(row).__name__} where an object is expected"
        fields: dict[str, str | None] = {}
        for name in ("id", "title", "text", "plot", "synopsis", "lead", "tagline", "poster", "trailer"):
            try:
                value = id_text(row.get(name)) if name == "id" else plain_text(row.get(name))
            except ValueError as error:
                return f"{name}: {error}"
            if not isinstance(value, str | None):
                return f"{name}: text is expected (got {str(value)[:40]!r})"
            fields[name] = value
        if fields["id"] is None:
            return "id: there is none"
        text = self.joined(fields["title"], fields["tagline"], self._text(fields))
        lists = {name: own for name in LISTS if (own := tuple(row.get(name) or ()))}
        numbers = (row.get("year"), row.get("runtime"))
        return Entry(fields["id"], fields["title"], text, lists, *numbers, fields["poster"], fields["trailer"])

    def _text(self, fields: dict[str, str | None]) -> str:
        words = words_of(fields["text"])
        if not words:
            texts = (fields["plot"], fields["synopsis"], fields["lead"] if self.lead else None)
            _, words = words_to_read(*texts, self.text, self.min_plot_words)
        return " ".join(words[: self.max_words])

    def joined(self, title: str | None, tagline: str | None, text: str) -> str:
        """Title, tagline and text in one, those of them that are read; "" where there is only a title."""
        told = {"title": " ".join(words_of(title)), "tagline": " ".join(words_of(tagline)), "text": text}
        if not any(told[name] for name in self.fields if name != "title"):
            return ""
        if told["title"] and not told["title"].endswith(ENDS):
            told["title"] += "."
        return " ".join(told[name] for name in FIELDS if name in self.fields and told[name])


def words_of(text: str | None) -> list[str]:
    """The words of a text in composed Unicode, without control characters."""
    return CONTROL.sub(" ", unicodedata.normalize("NFC", text or "")).split()


def words_to_read(
    plot: str | None, synopsis: str | None, lead: str | None, text: TextOrder, min_plot_words: int
) -> tuple[str, list[str]]:
    """The words that stand for a film, and which field they are of (`synopsis` where there are none).

    With `plot_first` the plot where it has at least `min_plot_words` words, otherwise the synopsis, otherwise the
    lead; a short plot serves where there is nothing else. With `both`, the shorter text and then the plot.
    """
    long, (short, words) = words_of(plot), ("synopsis", words_of(synopsis))
    if not words and lead:
        short, words = "lead", words_of(lead)
    if text == "both" and long and words:
        return f"{short}+plot", words + long
    long_enough = len(long) >= min_plot_words and text != "synopsis_first"
    return ("plot", long) if long and (long_enough or not words) else (short, words)


def of_texts(films: Sequence[Entry], what: Callable[[list[str]], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """What is said of the texts of n films, (n, *shape) float32; NaN where a film has none."""
    values = np.full((len(films), *shape), np.nan, dtype=np.float32)
    rows = [row for row, film in enumerate(films) if film.text]
    if rows:
        values[rows] = what([films[row].text for row in rows])
    return values

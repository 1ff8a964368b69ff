"""Which text of a film is read: training and tagging read alike."""

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from motags.films.values import Unreadable, id_text, plain_text

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
TextOrder = Literal["plot_first", "synopsis_first", "both"]


class Entry(NamedTuple):
    """A film to tag; `text` is "" where the catalogue has none."""

    id: str
    title: str | None
    text: str


@dataclass(frozen=True)
class TextRules:
    """Which text of a film is read: the column `text` if it has one, else as section `dataset` of params.yaml says."""

    text: TextOrder = "plot_first"
    lead: bool = True
    min_plot_words: int = 60
    max_words: int = 400

    @classmethod
    def of(cls, dataset: Any) -> "TextRules":
        """As a section `dataset` says."""
        return cls(dataset.text, dataset.lead, dataset.min_plot_words, dataset.max_words)

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
        for name in ("id", "title", "text", "plot", "synopsis", "lead"):
            try:
                value = id_text(row.get(name)) if name == "id" else plain_text(row.get(name))
            except ValueError as error:
                return f"{name}: {error}"
            if not isinstance(value, str | None):
                return f"{name}: text is expected (got {str(value)[:40]!r})"
            fields[name] = value
        if fields["id"] is None:
            return "id: there is none"
        return Entry(fields["id"], fields["title"], self._text(fields))

    def _text(self, fields: dict[str, str | None]) -> str:
        words = words_of(fields["text"])
        if not words:
            texts = (fields["plot"], fields["synopsis"], fields["lead"] if self.lead else None)
            _, words = words_to_read(*texts, self.text, self.min_plot_words)
        return " ".join(words[: self.max_words])


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

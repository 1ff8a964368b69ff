"""Corpus: the fused data set as texts and a label matrix; how films and tags become one."""

import hashlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from motags.errors import MotagsError
from motags.films import Film

MIN_FILMS = 10  # below this no split into train, validation and test makes sense


class DatasetParams(BaseModel):
    """Section `dataset` of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_tags: Annotated[int, Field(ge=1)]
    min_films: Annotated[int, Field(ge=2)]
    min_plot_words: Annotated[int, Field(ge=1)]
    min_words: Annotated[int, Field(ge=1)]
    max_words: Annotated[int, Field(ge=1)]
    genres: list[str]
    homonyms: list[str]


@dataclass(frozen=True)
class Corpus:
    """n films with a text and a set of tags each, in the order of their ids.

    Attributes:
        ids, titles, texts: n strings each.
        tags: t tag names, the most frequent first, equals by name.
        Y: (n, t) bool, true where the film bears the tag.
    """

    ids: list[str]
    titles: list[str]
    texts: list[str]
    tags: list[str]
    Y: np.ndarray

    @classmethod
    def from_frame(cls, films: pd.DataFrame) -> "Corpus":
        """The corpus of a frame of films as `fuse` makes it."""
        counts = Counter(tag for tags in films["tags"] for tag in tags)
        tags = sorted(counts, key=lambda tag: (-counts[tag], tag))
        column = {tag: j for j, tag in enumerate(tags)}
        Y = np.zeros((len(films), len(tags)), dtype=bool)  # (n, t)
        for i, own in enumerate(films["tags"]):
            Y[i, [column[tag] for tag in own]] = True
        return cls(list(films["id"]), list(films["title"]), list(films["text"]), tags, Y)

    def part(self, rows: np.ndarray) -> "Corpus":
        """The films of some rows, with the tags of all."""
        ids, titles, texts = ([column[row] for row in rows] for column in (self.ids, self.titles, self.texts))
        return Corpus(ids, titles, texts, self.tags, self.Y[rows])

    @cached_property
    def digest(self) -> str:
        """Says whether arrays made from a corpus belong to this one."""
        rows = zip(self.ids, self.texts, strict=True)
        content = "\0".join([*self.tags, *(part for row in rows for part in row)])
        return hashlib.sha256(content.encode() + np.packbits(self.Y).tobytes()).hexdigest()[:16]


def fuse(films: list[Film], params: DatasetParams) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row a film: its text, its normalised tags cut to the vocabulary, and where both came from.

    The text is the plot where it has at least `min_plot_words` words, otherwise the synopsis
    (paper, section 4); a short plot serves where there is no synopsis. The vocabulary is the
    `max_tags` most frequent tags that at least `min_films` films with a text bear (Table 2).

    Returns:
        Columns id, title, year, text, text_source, text_from, tags, tags_from, sorted by id; and how
        many films were dropped for having no text, a text shorter than `min_words`, or no tag.

    Raises:
        MotagsError: fewer than 10 films are left.
    """
    dropped = Counter(no_text=0, short_text=0, no_tags=0)
    rows = []
    for film in sorted(films, key=lambda film: film.id):
        source, words = _text(film, params.min_plot_words)
        if len(words) < params.min_words:
            dropped["short_text" if words else "no_text"] += 1
            continue
        text = " ".join(words[: params.max_words])
        tags = {normalise(tag, params.genres, params.homonyms) for tag in film.tags} - {""}
        rows.append((film.id, film.title, film.year, text, source, film.source, tags, film.source))
    vocabulary = _vocabulary([row[6] for row in rows], params)
    kept = [(*row[:6], sorted(row[6] & vocabulary), row[7]) for row in rows if row[6] & vocabulary]
    dropped["no_tags"] = len(rows) - len(kept)
    if len(kept) < MIN_FILMS:
        raise MotagsError(
            f"{len(kept)} of {len(films)} films have a text and a tag that {params.min_films} films bear; at least "
            f"{MIN_FILMS} are needed: give crawl.catalogue more films, or lower dataset.min_films or dataset.min_words"
        )
    columns = ["id", "title", "year", "text", "text_source", "text_from", "tags", "tags_from"]
    frame = pd.DataFrame(kept, columns=columns).astype({"year": "Int32"})
    return frame, dict(dropped)


def _text(film: Film, min_plot_words: int) -> tuple[str, list[str]]:
    plot, synopsis = words_of(film.plot), words_of(film.synopsis)
    is_plot = len(plot) >= min_plot_words or (plot and not synopsis)
    return ("plot", plot) if is_plot else ("synopsis", synopsis)


def words_of(text: str | None) -> list[str]:
    """The words of a text in composed Unicode, without control characters."""
    composed = unicodedata.normalize("NFC", text or "")
    return "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in composed).split()


def normalise(tag: str, genres: list[str], homonyms: list[str]) -> str:
    """One spelling for a tag: a genre as `genres` spells it, a keyword in lower case.

    A keyword in `homonyms` is spelled like a genre but means something else ("family", the theme,
    beside "Family", the audience): only the exact spelling of the genre names the genre.
    """
    tag = _composed(tag)
    by_spelling = {_composed(genre): genre for genre in genres}
    if tag in by_spelling:
        return by_spelling[tag]
    folded = _composed(tag.casefold())
    by_fold = {_composed(spelling.casefold()): genre for spelling, genre in by_spelling.items()}
    return folded if folded in homonyms else by_fold.get(folded, folded)


def _composed(tag: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", tag).split())


def _vocabulary(tag_sets: list[set[str]], params: DatasetParams) -> set[str]:
    counts = Counter(tag for tags in tag_sets for tag in tags)
    ranked = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return {tag for tag in ranked[: params.max_tags] if counts[tag] >= params.min_films}


def statistics(films: pd.DataFrame, dropped: dict[str, int]) -> dict[str, object]:
    """The numbers of the paper's Table 2, and what was dropped on the way to them."""
    corpus = Corpus.from_frame(films)
    return {
        "films": len(films),
        "tags": len(corpus.tags),
        "tags_per_film": float(corpus.Y.sum(1).mean()),
        "words_per_film": float(np.mean([len(text.split()) for text in films["text"]])),
        "plots": float((films["text_source"] == "plot").mean()),
        "films_with_the_text_of_another": len(films) - len(set(text_keys(corpus.texts))),
        "dropped": dropped,
    }


def text_keys(texts: list[str]) -> list[str]:
    """Equal for texts that differ in case, punctuation and white space only."""
    return [" ".join(re.findall(r"\w+", text.casefold())) or text for text in texts]


def long_tail(films: pd.DataFrame, genres: list[str]) -> pd.DataFrame:
    """Films a tag, the most frequent first, genres and keywords told apart (Figure 4)."""
    corpus = Corpus.from_frame(films)
    kinds = ["genre" if tag in genres else "keyword" for tag in corpus.tags]
    return pd.DataFrame({"tag": corpus.tags, "films": corpus.Y.sum(0), "kind": kinds})

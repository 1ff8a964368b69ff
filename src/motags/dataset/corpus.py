"""Corpus: the fused data set as texts and a label matrix."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd


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
        for i, film_tags in enumerate(films["tags"]):
            Y[i, [column[tag] for tag in film_tags]] = True
        return cls(list(films["id"]), list(films["title"]), list(films["text"]), tags, Y)

    def part(self, rows: np.ndarray) -> "Corpus":
        """The films of some rows, with the tags of all."""
        ids, titles, texts = ([column[row] for row in rows] for column in (self.ids, self.titles, self.texts))
        return Corpus(ids, titles, texts, self.tags, self.Y[rows])

    @cached_property
    def digest(self) -> str:
        """Identifies the corpus: arrays record the digest of the corpus that they were made from."""
        rows = zip(self.ids, self.texts, strict=True)
        content = "\0".join([*self.tags, *(part for row in rows for part in row)])
        return hashlib.sha256(content.encode() + np.packbits(self.Y).tobytes()).hexdigest()[:16]


def text_keys(texts: list[str]) -> list[str]:
    """Equal for texts that differ in case, punctuation and white space only."""
    return [" ".join(re.findall(r"\w+", text.casefold())) or text for text in texts]


def kinds_of(films: pd.DataFrame) -> dict[str, str]:
    """Whether each tag is a genre or a keyword, by the frame that `fuse.fuse` made."""
    genres = {tag for tags in films["genres"] for tag in tags}
    return {tag: "genre" if tag in genres else "keyword" for tags in films["tags"] for tag in tags}

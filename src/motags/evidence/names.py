"""Names: how much a text speaks of a tag by its name and its description."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from motags.evidence.sparse import SparseRows
from motags.evidence.tfidf import Tfidf
from motags.films.text import Entry, of_texts


class Names:
    """How much a text speaks of each tag: the cosine of its letters with the tag's name, and with its description.

    Runs of 3 to 5 letters within words, weighted by TF-IDF, so that "kidnapped" speaks of "kidnapping".

    Args:
        tfidf: of runs of letters; names, descriptions: t each, a missing description is "".
    """

    source, rows = "text", 2

    def __init__(self, tfidf: Tfidf, names: list[str], descriptions: list[str]) -> None:
        self.tfidf, self.names, self.descriptions = tfidf, names, descriptions
        weighed = [tfidf.weigh(said) for said in (*names, *descriptions)]
        places, weights = (np.concatenate(parts) for parts in zip(*weighed, strict=True))
        sayings = np.repeat(np.arange(len(weighed)), [len(own) for own, _ in weighed])
        # few sayings share a run, so a text meets few of them
        self._about = SparseRows.of_places(places, sayings, weights, (len(tfidf.vocabulary), len(weighed)))

    def evidence(self, films: Sequence[Entry]) -> np.ndarray:
        """Cosines of n films, (n, 2, t) float32; NaN where there is no text."""
        return of_texts(films, self.cosines, (2, len(self.names)))

    def cosines(self, texts: list[str]) -> np.ndarray:
        """Cosines (n, 2, t) float32, with the names and with the descriptions."""
        cosines = np.empty((len(texts), self._about.width), dtype=np.float32)
        for row, text in enumerate(texts):
            cosines[row] = self._about.combined(*self.tfidf.weigh(text))
        return cosines.reshape(len(texts), 2, -1)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """What was learned, as arrays, and the vocabulary in their order."""
        texts = {"runs": self.tfidf.vocabulary, "names": self.names, "descriptions": self.descriptions}
        return {"idf": self.tfidf.idf}, texts

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], texts: Mapping[str, list[str]]) -> Self:
        """The model whose `state` was kept."""
        return cls(Tfidf(texts["runs"], arrays["idf"], 0), texts["names"], texts["descriptions"])

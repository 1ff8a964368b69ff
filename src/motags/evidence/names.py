"""Names: how much a text speaks of a tag by its name and its description."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from motags.evidence.sparse import SparseRows
from motags.evidence.tfidf import Tfidf


class Names:
    """How much a text speaks of each tag: the cosine of its letters with the tag's name, and with its description.

    Runs of 3 to 5 letters within words, weighted by TF-IDF, so that "kidnapped" speaks of "kidnapping".

    Args:
        tfidf: of runs of letters; names, descriptions: t each, a missing description is "".
    """

    def __init__(self, tfidf: Tfidf, names: list[str], descriptions: list[str]) -> None:
        self.tfidf = tfidf
        weighed = [tfidf.weigh(said) for said in (*names, *descriptions)]
        places, weights = (np.concatenate(parts) for parts in zip(*weighed, strict=True))
        sayings = np.repeat(np.arange(len(weighed)), [len(own) for own, _ in weighed])
        # few sayings share a run, so a text meets few of them
        self._about = SparseRows.of_places(places, sayings, weights, (len(tfidf.vocabulary), len(weighed)))

    def cosines(self, texts: list[str]) -> np.ndarray:
        """Cosines (n, 2, t) float32, with the names and with the descriptions."""
        cosines = np.empty((len(texts), self._about.width), dtype=np.float32)
        for row, text in enumerate(texts):
            cosines[row] = self._about.combined(*self.tfidf.weigh(text))
        return cosines.reshape(len(texts), 2, -1)

    def state(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """What was learned, as arrays, and the vocabulary in their order."""
        return {"idf": self.tfidf.idf}, self.tfidf.vocabulary

    @classmethod
    def restored(
        cls, arrays: Mapping[str, np.ndarray], vocabulary: list[str], names: list[str], descriptions: list[str]
    ) -> Self:
        """The model whose `state` was kept, for the same tags."""
        return cls(Tfidf(vocabulary, arrays["idf"], 0), names, descriptions)

"""What the words of a text say for each tag: a regression on TF-IDF, and how much a text speaks of a tag by name."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from motags.sparse import SparseRows
from motags.tfidf import Tfidf


class Words:
    """One logistic regression a tag on TF-IDF; `regressions.fit_words` makes it.

    Args:
        tfidf: its vocabulary has v runs of words.
        coef: (v, t) float32, an array or, where that would be too large, its largest values; intercept: (t,) float32.
    """

    def __init__(self, tfidf: Tfidf, coef: np.ndarray | SparseRows, intercept: np.ndarray) -> None:
        self.tfidf = tfidf
        self.coef = coef
        self.intercept = intercept

    def logits(self, texts: list[str]) -> np.ndarray:
        """Logits (n, t) float32."""
        logits = np.empty((len(texts), len(self.intercept)), dtype=np.float32)
        for row, text in enumerate(texts):
            logits[row] = self._sum(*self.tfidf.weigh(text)) + self.intercept
        return logits

    def _sum(self, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
        if isinstance(self.coef, SparseRows):
            return self.coef.combined(places, weights)
        return weights @ self.coef[places]

    def state(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """What was learned, as arrays, and the vocabulary in the order of their rows."""
        arrays = {"idf": self.tfidf.idf, "intercept": self.intercept}
        if isinstance(self.coef, SparseRows):
            arrays |= {"starts": self.coef.starts, "columns": self.coef.columns, "values": self.coef.values}
        else:
            arrays["coef"] = self.coef
        return arrays, self.tfidf.vocabulary

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], vocabulary: list[str], max_ngram: int) -> Self:
        """The model whose `state` was kept."""
        tfidf, intercept = Tfidf(vocabulary, arrays["idf"], max_ngram), arrays["intercept"]
        if "coef" in arrays:
            return cls(tfidf, arrays["coef"], intercept)
        coef = SparseRows(arrays["starts"], arrays["columns"], arrays["values"], len(intercept))
        return cls(tfidf, coef, intercept)


class Mentions:
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

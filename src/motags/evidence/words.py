"""Words: what the words of a text say for each tag, by a regression on TF-IDF."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from motags.evidence.sparse import SparseRows
from motags.evidence.tfidf import Tfidf


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

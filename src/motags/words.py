"""What the words of a text say for each tag: a regression on TF-IDF, and how much a text speaks of a tag by name."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from motags.tfidf import Tfidf


class Words:
    """One logistic regression a tag on TF-IDF; `regressions.fit_words` makes it.

    Args:
        tfidf: its vocabulary has v runs of words.
        coef: (v, t) float32; intercept: (t,) float32.
    """

    def __init__(self, tfidf: Tfidf, coef: np.ndarray, intercept: np.ndarray) -> None:
        self.tfidf = tfidf
        self.coef = coef
        self.intercept = intercept

    def logits(self, texts: list[str]) -> np.ndarray:
        """Logits (n, t) float32."""
        logits = np.empty((len(texts), len(self.intercept)), dtype=np.float32)
        for row, text in enumerate(texts):
            places, weights = self.tfidf.weigh(text)
            logits[row] = weights @ self.coef[places] + self.intercept
        return logits

    def state(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """What was learned, as arrays, and the vocabulary in the order of their rows."""
        return {"idf": self.tfidf.idf, "coef": self.coef, "intercept": self.intercept}, self.tfidf.vocabulary

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], vocabulary: list[str], max_ngram: int) -> Self:
        """The model whose `state` was kept."""
        return cls(Tfidf(vocabulary, arrays["idf"], max_ngram), arrays["coef"], arrays["intercept"])


class Mentions:
    """How much a text speaks of each tag: the cosine of its letters with the tag's name, and with its description.

    Runs of 3 to 5 letters within words, weighted by TF-IDF, so that "kidnapped" speaks of "kidnapping".

    Args:
        tfidf: of runs of letters; names, descriptions: t each, a missing description is "".
    """

    def __init__(self, tfidf: Tfidf, names: list[str], descriptions: list[str]) -> None:
        self.tfidf = tfidf
        self._about = _Said(tfidf, [*names, *descriptions])

    def cosines(self, texts: list[str]) -> np.ndarray:
        """Cosines (n, 2, t) float32, with the names and with the descriptions."""
        cosines = np.empty((len(texts), self._about.count), dtype=np.float32)
        for row, text in enumerate(texts):
            cosines[row] = self._about.cosines(*self.tfidf.weigh(text))
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


class _Said:
    """Weighted runs of some sayings, sorted by run: few sayings share a run, so a text meets few of them."""

    def __init__(self, tfidf: Tfidf, sayings: list[str]) -> None:
        self.count = len(sayings)
        weighed = [tfidf.weigh(saying) for saying in sayings]
        places = np.concatenate([own for own, _ in weighed])
        order = np.argsort(places, kind="stable")
        self._weights = np.concatenate([own for _, own in weighed])[order]
        self._sayings = np.repeat(np.arange(self.count), [len(own) for own, _ in weighed])[order]
        self._starts = np.searchsorted(places[order], np.arange(len(tfidf.vocabulary) + 1))

    def cosines(self, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Cosines with each saying, of a text that was weighed by the same TF-IDF."""
        counts = self._starts[places + 1] - self._starts[places]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        met = np.repeat(self._starts[places], counts) + offsets
        return np.bincount(self._sayings[met], np.repeat(weights, counts) * self._weights[met], self.count)

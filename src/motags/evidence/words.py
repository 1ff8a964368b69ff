"""Words: what the words of a text say for each tag, by a regression on TF-IDF."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from motags.evidence.regressions import Regressions
from motags.evidence.tfidf import Tfidf
from motags.films.text import Entry, of_texts


class Words:
    """One logistic regression a tag on TF-IDF; `words_training.fit_words` makes it.

    Args:
        tfidf: its vocabulary has v runs of words; regressions: on these v features.
    """

    source, rows = "text", 1

    def __init__(self, tfidf: Tfidf, regressions: Regressions) -> None:
        self.tfidf = tfidf
        self.regressions = regressions

    def evidence(self, films: Sequence[Entry]) -> np.ndarray:
        """Logits of n films, (n, 1, t) float32; NaN where there is no text."""
        return of_texts(films, lambda texts: self.logits(texts)[:, None], (1, len(self.regressions.intercept)))

    def logits(self, texts: list[str]) -> np.ndarray:
        """Logits (n, t) float32."""
        logits = np.empty((len(texts), len(self.regressions.intercept)), dtype=np.float32)
        for row, text in enumerate(texts):
            logits[row] = self.regressions.logits(*self.tfidf.weigh(text))
        return logits

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """What was learned, as arrays, and the vocabulary in the order of their rows."""
        arrays = {"idf": self.tfidf.idf, "max_words": np.array([self.tfidf.max_words])}
        return arrays | self.regressions.state(), {"runs": self.tfidf.vocabulary}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], texts: Mapping[str, list[str]]) -> Self:
        """The model whose `state` was kept."""
        return cls(Tfidf(texts["runs"], arrays["idf"], int(arrays["max_words"][0])), Regressions.restored(arrays))

"""Vectors: what a vector of a film, of its poster, its trailer or a user's own, says for each tag."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from motags.errors import MotagsError
from motags.films.text import Entry

CLIP = 5.0  # standard deviations of a number of a vector, at most


class Vectors:
    """A regression a tag on standardised vectors; `vectors_training.fit_vectors` makes it.

    Args:
        name: of the kind, by which `Entry.vectors` has them.
        mean, deviation: (d,) float32 of the training films; coef: (d, t) float32; intercept: (t,) float32.
    """

    rows = 1

    def __init__(
        self, name: str, mean: np.ndarray, deviation: np.ndarray, coef: np.ndarray, intercept: np.ndarray
    ) -> None:
        self.source = name
        self.mean, self.deviation, self.coef, self.intercept = mean, deviation, coef, intercept

    def evidence(self, films: Sequence[Entry]) -> np.ndarray:
        """Logits of n films, (n, 1, t) float32; NaN where a film has no such vector.

        Raises:
            MotagsError: a vector is of another length than those of training.
        """
        values = np.full((len(films), 1, len(self.intercept)), np.nan, dtype=np.float32)
        rows = [row for row, film in enumerate(films) if self.source in film.vectors]
        for row in rows:  # one by one: in company, sums round otherwise
            vector = films[row].vectors[self.source]
            if vector.shape != self.mean.shape:
                raise MotagsError(
                    f"film {films[row].id!r} has a vector {self.source!r} of {vector.size} numbers, the model has "
                    f"learned from {self.mean.size}: give vectors of the same kind"
                )
            values[row, 0] = standardised(vector, self.mean, self.deviation) @ self.coef + self.intercept
        return values

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """What was learned, as arrays."""
        return {
            "mean": self.mean, "deviation": self.deviation, "coef": self.coef, "intercept": self.intercept
        }, {}  # fmt: skip

    @classmethod
    def restored(cls, name: str, arrays: Mapping[str, np.ndarray]) -> Self:
        """The model whose `state` was kept."""
        return cls(name, arrays["mean"], arrays["deviation"], arrays["coef"], arrays["intercept"])


def standardised(vectors: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Vectors (..., d) float32 less the mean, over the deviation."""
    scaled: np.ndarray = ((vectors - mean) / deviation).clip(-CLIP, CLIP).astype(np.float32)
    return scaled

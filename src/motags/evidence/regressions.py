"""A logistic regression a tag, as tagging needs it: coefficients, with numpy alone."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from motags.evidence.sparse import SparseRows


class Regressions:
    """One logistic regression a tag on v features; `regressions_training.fit_regressions` makes it.

    Args:
        coef: (v, t) float32, an array or, where that would be too large, its largest values; intercept: (t,) float32.
    """

    def __init__(self, coef: np.ndarray | SparseRows, intercept: np.ndarray) -> None:
        self.coef = coef
        self.intercept = intercept

    def logits(self, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Logits (t,) of a film that has some features, (r,) int64, with weights (r,)."""
        if isinstance(self.coef, SparseRows):
            return self.coef.combined(places, weights) + self.intercept
        logits: np.ndarray = weights @ self.coef[places] + self.intercept
        return logits

    def state(self) -> dict[str, np.ndarray]:
        """What was learned, as arrays."""
        if isinstance(self.coef, SparseRows):
            return {"intercept": self.intercept, **self.coef.state()}
        return {"intercept": self.intercept, "coef": self.coef}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The regressions whose `state` was kept."""
        intercept = arrays["intercept"]
        return cls(arrays["coef"] if "coef" in arrays else SparseRows.restored(arrays, len(intercept)), intercept)

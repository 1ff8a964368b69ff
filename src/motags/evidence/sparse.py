"""A table most of whose places are empty, with numpy alone."""

from collections.abc import Mapping

import numpy as np


class SparseRows:
    """A (v, t) table that keeps only the places that are not empty, row by row.

    Args:
        starts: (v + 1,) int64, where each row's places begin, and how many there are in all.
        columns: (z,) int32 or int64, of each place; values: (z,) float32 or float64.
        width: t.
    """

    def __init__(self, starts: np.ndarray, columns: np.ndarray, values: np.ndarray, width: int) -> None:
        self.starts = starts
        self.columns = columns
        self.values = values
        self.width = width

    @classmethod
    def of_places(
        cls, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]
    ) -> "SparseRows":
        """The table of places (z,) in any order; those of a row stay in the order in which they are given."""
        order = np.argsort(rows, kind="stable")
        starts = np.searchsorted(rows[order], np.arange(shape[0] + 1))
        return cls(starts, columns[order], values[order], shape[1])

    def combined(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The sum of some rows (r,), each times its weight (r,): (t,) float64."""
        counts = self.starts[rows + 1] - self.starts[rows]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        met = np.repeat(self.starts[rows], counts) + offsets
        return np.bincount(self.columns[met], np.repeat(weights, counts) * self.values[met], self.width)

    def state(self) -> dict[str, np.ndarray]:
        """The table, as arrays."""
        return {"starts": self.starts, "columns": self.columns, "values": self.values}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], width: int) -> "SparseRows":
        """The table of `width` columns whose `state` was kept."""
        return cls(arrays["starts"], arrays["columns"], arrays["values"], width)

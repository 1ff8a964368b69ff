"""What a tagger keeps of its training films: to explain, audit and suggest, and to score them fairly."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

SAME = 0.999  # cosine, at least, of a text's embedding in training and now: both round, int8 more than that


@dataclass(frozen=True)
class TrainingFilms:
    """The m training films that the ranker learned from.

    Attributes:
        ids, titles: m each.
        embeddings: (m, d) float32 of unit length; Y: (m, t) bool.
        out_of_fold: (m, t) float32, scores by models that have not seen the film.
    """

    ids: list[str]
    titles: list[str]
    embeddings: np.ndarray
    Y: np.ndarray
    out_of_fold: np.ndarray

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {id_: row for row, id_ in enumerate(self.ids)}

    def row(self, id_: str, embedding: np.ndarray) -> int | None:
        """The row of a film that has the id and, by its embedding (d,), still the text of one; int8 can't tell."""
        row = self._rows.get(id_)
        return row if row is not None and self.embeddings[row] @ embedding >= SAME else None

"""Training of `facts`: regressions by scikit-learn, naive Bayes by counting."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix, diags_array

from motags.evidence.facts import GROUPS, Facts, facts_of
from motags.evidence.regressions_training import fit_regressions
from motags.evidence.sparse import SparseRows
from motags.films.text import Entry
from motags.params import Params

FOLDS = 5  # of the regressions' held-out logits: cheap beside the encoder's


class FactsParams(Params):
    """Section `tagger.facts` of params.yaml."""

    min_films: Annotated[int, Field(ge=2)]
    C: Annotated[float, Field(gt=0)]
    shrinkage: Annotated[float, Field(gt=0)]


class FactTable(NamedTuple):
    """Which of n films has which of v facts.

    Attributes:
        names: v facts; group: (v,) int64, the number of each one's group; X: (n, v), 1 where a film has a fact.
    """

    names: list[str]
    group: np.ndarray
    X: csr_matrix

    def weighed(self, idf: np.ndarray) -> csr_matrix:
        """The facts of each film weighed by idf (v,), of unit length, (n, v)."""
        weights = (self.X @ diags_array(idf)).tocsr()
        lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(1))).ravel()
        return csr_matrix(diags_array(1 / np.maximum(lengths, np.finfo(np.float64).tiny)) @ weights)

    def idf(self) -> np.ndarray:
        """How telling each fact is, (v,) float64, as scikit-learn has it for words."""
        n, v = self.X.shape
        return np.log((1 + n) / (1 + np.bincount(self.X.indices, minlength=v))) + 1


def table_of(films: Sequence[Entry], min_films: int) -> FactTable:
    """The facts of n films that at least `min_films` of them have."""
    facts = [facts_of(film) for film in films]
    group = {name: number for own in facts for number, of_group in enumerate(GROUPS) for name in own[of_group]}
    counts = Counter(name for own in facts for names in own.values() for name in names)
    names = sorted(name for name, count in counts.items() if count >= min_films)
    place = {name: column for column, name in enumerate(names)}
    columns = [[place[name] for names in own.values() for name in names if name in place] for own in facts]
    starts = np.cumsum([0, *map(len, columns)])
    flat = np.fromiter((column for own in columns for column in own), dtype=np.int64, count=starts[-1])
    X = csr_matrix((np.ones(len(flat)), flat, starts), shape=(len(films), len(names)))
    X.sort_indices()  # else threads that share it would sort it in place
    return FactTable(names, np.array([group[name] for name in names], dtype=np.int64), X)


def fit_facts(
    films: Sequence[Entry], Y: np.ndarray, rows: np.ndarray, params: FactsParams, seed: int
) -> tuple[Facts, np.ndarray] | None:
    """Learn from n films and Y (n, t) bool; None where no two films share a fact.

    Args:
        rows: (m,) of films whose evidence by models that have not seen them is wanted.

    Returns:
        The model, and that evidence, (m, 4, t) float32, NaN where it knows nothing.
    """
    table = table_of(films, params.min_films)
    if not table.names:
        return None
    idf, bayes = table.idf(), Bayes(table, Y, params.shrinkage)
    X = table.weighed(idf)
    values = np.full((len(rows), Facts.rows, Y.shape[1]), np.nan, dtype=np.float32)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(films))
    for k in range(FOLDS):
        held = fold[rows] == k
        if held.any():
            values[held, 0] = _logits(X, Y, np.flatnonzero(fold != k), rows[held], params.C, seed)
    values[np.diff(X.indptr)[rows] == 0, 0] = np.nan
    values[:, 1:] = bayes.held_out(rows)
    regressions = fit_regressions(X, Y, params.C, seed)
    return Facts(table.names, idf, regressions, bayes.ratios(), bayes.films, params.shrinkage), values


def _logits(X: csr_matrix, Y: np.ndarray, train: np.ndarray, rows: np.ndarray, C: float, seed: int) -> np.ndarray:
    """Logits (m, t) of some films by regressions on others."""
    regressions = fit_regressions(X[train], Y[train], C, seed)
    own = X[rows]
    return np.array([regressions.logits(own.indices[a:b], own.data[a:b]) for a, b in pairwise(own.indptr)])


class Bayes:
    """The counts of naive Bayes, see `Facts`.

    Attributes:
        films: (v,) float32, films that have each fact.
    """

    def __init__(self, table: FactTable, Y: np.ndarray, shrinkage: float) -> None:
        self.table, self.Y, self.shrinkage = table, Y, shrinkage
        self.films = np.asarray(table.X.sum(0), dtype=np.float32).ravel()
        self.counts = csr_matrix(table.X.T @ csr_matrix(Y.astype(np.float64)))  # (v, t)
        self.held_back = shrinkage * (Y.sum(0) + 0.5) / (len(Y) + 1)  # (t,), s p

    def ratios(self, without: int = 0) -> SparseRows:
        """ln(1 + c / (s p)) of each fact and tag, (v, t), of all films or `without` one that has both."""
        values = np.log1p((self.counts.data - without) / self.held_back[self.counts.indices]).astype(np.float32)
        return SparseRows(self.counts.indptr.astype(np.int64), self.counts.indices, values, self.Y.shape[1])

    def held_out(self, rows: np.ndarray) -> np.ndarray:
        """The sums of some films a group, (m, 3, t) float32, each as if the film itself had not been counted."""
        t = self.Y.shape[1]
        full, less = (self._matrix(self.ratios(without)) for without in (0, 1))
        others = np.log1p((self.films - 1) / self.shrinkage)
        values = np.full((len(rows), len(GROUPS), t), np.nan, dtype=np.float32)
        for number in range(len(GROUPS)):
            own = np.flatnonzero(self.table.group == number)
            X = csr_matrix(self.table.X[rows][:, own])
            of_bearers, of_others = ((X @ part[own]).toarray() for part in (less, full))
            known = np.diff(X.indptr) > 0
            sums = np.where(self.Y[rows], of_bearers, of_others) - (X @ others[own])[:, None]
            values[known, number] = sums[known]
        return values

    def _matrix(self, ratios: SparseRows) -> csr_matrix:
        return csr_matrix((ratios.values, ratios.columns, ratios.starts), shape=(len(self.films), ratios.width))

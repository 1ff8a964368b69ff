"""The multi-label split into train, validation and test."""

from typing import Annotated

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold, MultilabelStratifiedShuffleSplit
from pydantic import Field

from motags.dataset.corpus import Corpus, text_keys
from motags.errors import MotagsError
from motags.params import Params

PARTS = ("train", "validation", "test")
MIN_STRATIFIED = 20  # fewer texts are split at random: there is nothing to balance
MOST_STRATIFIED = (
    5 * 10**9
)  # texts times squared tags, its time: more are split at random, where large numbers even out


class SplitParams(Params):
    """Section `split` of params.yaml."""

    test: Annotated[float, Field(gt=0, le=0.9)]
    validation: Annotated[float, Field(gt=0, le=0.9)]


def split(corpus: Corpus, params: SplitParams, seed: int) -> np.ndarray:
    """Assign each film to train, validation or test, stratified by its tags (paper, section 4).

    Iterative stratification (Sechidis et al. 2011). Films with the same text go to the same part.

    Returns:
        (n,) str, the part of each film.

    Raises:
        MotagsError: the films have too few different texts to give each part one.
    """
    group, Y = _grouped(corpus.texts, corpus.Y)
    if len(Y) < len(PARTS):
        raise MotagsError(f"the films have only {len(Y)} different texts: train, validation and test need one each")
    remaining, test = _draw(Y, params.test, seed, leave=2)
    train, validation = _draw(Y[remaining], params.validation, seed + 1, leave=1)
    part = np.empty(len(Y), dtype=object)
    part[test], part[remaining[train]], part[remaining[validation]] = "test", "train", "validation"
    return part[group].astype(str)


def folds_of(texts: list[str], Y: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Assign each of n texts to one of k folds, stratified by their tags; texts that are the same go together.

    Args:
        Y: (n, t) bool.

    Returns:
        (n,) int64, from 0; of fewer than k different texts, as many folds as there are.
    """
    group, Y = _grouped(texts, Y)
    fold = np.random.default_rng(seed).permutation(np.arange(len(Y)) % k)
    if _can_be_stratified(Y):
        splitter = MultilabelStratifiedKFold(k, shuffle=True, random_state=seed)
        for number, (_, members) in enumerate(splitter.split(Y, _two_columns(Y))):
            fold[members] = number
    return fold[group]


def _grouped(texts: list[str], Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The group of each text, (n,), the same for texts that are the same; and the groups' labels (groups, t)."""
    _, group = np.unique(text_keys(texts), return_inverse=True)
    labels = np.zeros((group.max() + 1, Y.shape[1]), dtype=bool)
    rows, columns = np.nonzero(Y)
    labels[group[rows], columns] = True
    return group, labels


def _can_be_stratified(Y: np.ndarray) -> bool:
    return len(Y) >= MIN_STRATIFIED and Y.size * Y.shape[1] <= MOST_STRATIFIED


def _two_columns(Y: np.ndarray) -> np.ndarray:
    """Y, with a second column where it has one: a single column is no multi-label."""
    return np.column_stack([Y, np.ones(len(Y))]) if Y.shape[1] == 1 else Y


def _draw(Y: np.ndarray, share: float, seed: int, leave: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are left, at least `leave`, and the share of rows that is drawn, at least one."""
    if _can_be_stratified(Y):
        splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        labels = _two_columns(Y)
        kept, drawn = next(splitter.split(labels, labels))
        if len(kept) >= leave and len(drawn):
            return np.sort(kept), np.sort(drawn)
    order = np.random.default_rng(seed).permutation(len(Y))
    cut = min(max(round(share * len(Y)), 1), len(Y) - leave)
    return np.sort(order[cut:]), np.sort(order[:cut])


def deviation(corpus: Corpus, part: np.ndarray, share: float) -> dict[str, object]:
    """How many films each part has, and how far the tags' test shares are from the requested share."""
    deviations = np.abs(corpus.Y[part == "test"].sum(0) / corpus.Y.sum(0) - share)  # (t,)
    return {
        "films": {name: int((part == name).sum()) for name in PARTS},
        "test_share": float((part == "test").mean()),
        "largest_deviation": float(deviations.max()),
        "mean_deviation": float(deviations.mean()),
    }


def part_frame(corpus: Corpus, part: np.ndarray) -> pd.DataFrame:
    """A row a film: id and part."""
    return pd.DataFrame({"id": corpus.ids, "part": part})


def parts_of(corpus: Corpus, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The rows of the corpus in each part.

    Raises:
        MotagsError: the split was made for other films.
    """
    if list(frame["id"]) != corpus.ids:
        raise MotagsError("the split was made for other films: run `dvc repro` to split these")
    return {name: np.flatnonzero(frame["part"] == name) for name in PARTS}

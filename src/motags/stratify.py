"""The multi-label split into train, validation and test."""

from typing import Annotated

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit
from pydantic import BaseModel, ConfigDict, Field

from motags.corpus import Corpus, text_keys
from motags.errors import MotagsError

PARTS = ("train", "validation", "test")
MIN_STRATIFIED = 20  # fewer texts are drawn at random: there is nothing to balance


class SplitParams(BaseModel):
    """Section `split` of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

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
    _, group = np.unique(text_keys(corpus.texts), return_inverse=True)  # (n,)
    Y = np.zeros((group.max() + 1, corpus.Y.shape[1]), dtype=bool)  # (groups, t)
    np.logical_or.at(Y, group, corpus.Y)
    if len(Y) < len(PARTS):
        raise MotagsError(f"the films have only {len(Y)} different texts: train, validation and test need one each")
    rest, test = _draw(Y, params.test, seed, leave=2)
    train, validation = _draw(Y[rest], params.validation, seed + 1, leave=1)
    part = np.empty(len(Y), dtype=object)
    part[test], part[rest[train]], part[rest[validation]] = "test", "train", "validation"
    return part[group].astype(str)


def _draw(Y: np.ndarray, share: float, seed: int, leave: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows kept, at least `leave`, and rows drawn, at least one."""
    if len(Y) >= MIN_STRATIFIED:
        drawer = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        labels = np.column_stack([Y, np.ones(len(Y))]) if Y.shape[1] == 1 else Y  # one column is no multi-label
        kept, drawn = next(drawer.split(labels, labels))
        if len(kept) >= leave and len(drawn):
            return np.sort(kept), np.sort(drawn)
    order = np.random.default_rng(seed).permutation(len(Y))
    cut = min(max(round(share * len(Y)), 1), len(Y) - leave)
    return np.sort(order[cut:]), np.sort(order[:cut])


def deviation(corpus: Corpus, part: np.ndarray, share: float) -> dict[str, object]:
    """How many films each part has, and how far the tags' test shares are from the share asked for."""
    off = np.abs(corpus.Y[part == "test"].sum(0) / corpus.Y.sum(0) - share)  # (t,)
    return {
        "films": {name: int((part == name).sum()) for name in PARTS},
        "test_share": float((part == "test").mean()),
        "largest_deviation": float(off.max()),
        "mean_deviation": float(off.mean()),
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

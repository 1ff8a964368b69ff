"""Audit: which tags of the training films look wrong or missing, worst first."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from motags.artifacts import neutral, replacing
from motags.errors import MotagsError
from motags.tagger.training_films import TrainingFilms

FLOOR_QUANTILE = 0.01  # share of a tag's scores below its floor
MIN_SCORE = 1e-6  # scores are taken to be this far from 0 at least


class Suspect(NamedTuple):
    """A label of the training films that looks wrong.

    `score` is the calibrated score by models that have not seen the film. `doubt`, from 0 to 1, is comparable between
    tags and between the two problems.
    """

    id: str
    title: str
    tag: str
    problem: Literal["wrong", "missing"]
    score: float
    doubt: float


def doubts(Y: np.ndarray, S: np.ndarray) -> np.ndarray:
    """How much each label is to be doubted, (n, t) float64 in 0..1.

    The scores predict labels, errors included: even a film that is surely not of a tag scores as high as the share of
    such films that got the tag by error. So the least scores of a tag bound that share (Liu and Tao 2016), and

        wrong:   floor / score, of films with this score that bear the tag the share that got it by error;
        missing: share lost * score, of films with this score those that ought to bear the tag and don't.

    The share lost is the same for all tags: such that as many labels are missing as are wrong.

    Args:
        Y: (n, t) bool, the labels.
        S: (n, t) calibrated scores in 0..1, each by models that have not seen the film.
    """
    S = np.maximum(S.astype(np.float64), MIN_SCORE)
    floor = np.quantile(S, FLOOR_QUANTILE, axis=0)  # (t,)
    lost = min((floor * (~Y).sum(0)).sum() / max(Y.sum(), 1), 1.0)
    return np.where(Y, np.minimum(floor / S, 1.0), lost * S)


def suspects(
    films: TrainingFilms, tags: Sequence[str], top: int | None = None, tag: str | None = None
) -> list[Suspect]:
    """The labels most to be doubted, worst first.

    Args:
        tags: t names; top: how many labels at most, all if None; tag: only labels of this tag.

    Raises:
        MotagsError: `tag` is not one of `tags`, or there are no training films.
    """
    if not len(films.ids):
        raise MotagsError("this model keeps no training films to audit: train it again with `dvc repro`")
    if tag is not None and tag not in tags:
        raise MotagsError(f"{tag!r} is not a tag of this model; its tags: {', '.join(tags)}")
    doubt = doubts(films.Y, films.out_of_fold)  # (n, t)
    columns = np.arange(len(tags)) if tag is None else np.array([list(tags).index(tag)])
    worst = np.argsort(-doubt[:, columns], axis=None, kind="stable")[:top]
    rows, places = np.unravel_index(worst, (len(doubt), len(columns)))
    pairs = zip(rows.tolist(), columns[places].tolist(), strict=True)
    return [_suspect(films, tags[j], i, j, float(doubt[i, j])) for i, j in pairs]


def _suspect(films: TrainingFilms, tag: str, i: int, j: int, doubt: float) -> Suspect:
    problem: Literal["wrong", "missing"] = "wrong" if films.Y[i, j] else "missing"
    return Suspect(films.ids[i], films.titles[i], tag, problem, float(films.out_of_fold[i, j]), doubt)


def write_suspects(path: Path, rows: Sequence[Suspect]) -> None:
    """Write suspects as a CSV file with their fields as columns, numbers to four places."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Suspect._fields)
        for suspect in rows:
            texts = map(neutral, (suspect.id, suspect.title, suspect.tag))
            writer.writerow([*texts, suspect.problem, f"{suspect.score:.4f}", f"{suspect.doubt:.4f}"])

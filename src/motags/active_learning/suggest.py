"""Suggest: of an untagged catalogue, the films that teach most when an expert tags them, as a queue."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from motags.artifacts import neutral, replacing
from motags.errors import MotagsError
from motags.tagger.model import Model, Scores

CHUNK = 4096  # films compared with the known ones at once
REASONS = 3  # tags named as the reason for a film


class Pick(NamedTuple):
    """A row of the catalogue to ask about.

    `worth` is what its tags are expected to teach, comparable within a queue; `likeness` is its cosine with the most
    like film that is known or stands before it in the queue, from 0.
    """

    row: int
    worth: float
    likeness: float
    tags: list[int]


class Suggestion(NamedTuple):
    """A film to ask about, and why: the tags, with their scores, that make it worth asking; see `Pick`."""

    id: str
    title: str
    worth: float
    likeness: float
    tags: list[tuple[str, float]]


def suggest(model: Model, ids: Sequence[str], titles: Sequence[str], scored: Scores, size: int) -> list[Suggestion]:
    """The `size` films of a catalogue that teach the tagger most when tagged, the best first; see `queue`.

    Films that the tagger was trained on are left out. The answer does not depend on the catalogue's order.

    Args:
        ids, titles: n each; scored: what `Tagger.score` says of their texts.

    Raises:
        MotagsError: two films have the same id, or they are not as many as the scores.
    """
    if len(set(ids)) != len(ids) or not len(ids) == len(titles) == len(scored.scores):
        raise MotagsError("each film of the catalogue needs an id of its own: mend the column `id`")
    training_films = model.films_
    known_ids = {*training_films.ids, *model.others_}
    rows = np.array(sorted((row for row, id_ in enumerate(ids) if id_ not in known_ids), key=lambda row: ids[row]), int)
    scores, centre = scored.scores[rows], training_films.embeddings.mean(0)
    new, known = (centred(E, centre) for E in (scored.embeddings[rows], training_films.embeddings))
    picks = queue(scores, new, model.support_, size, known)
    return [
        Suggestion(
            ids[rows[pick.row]], titles[rows[pick.row]], pick.worth, pick.likeness,
            [(model.tags_[j], float(scores[pick.row, j])) for j in pick.tags],
        )
        for pick in picks
    ]  # fmt: skip


def centred(embeddings: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Embeddings (n, d) less their centre (d,), of unit length: films that have nothing in common are at a right angle.

    An encoder's embeddings crowd about one direction, where cosines tell like films from others badly.
    """
    moved = embeddings - centre
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def queue(
    scores: np.ndarray, embeddings: np.ndarray, support: np.ndarray, size: int, known: np.ndarray | None = None
) -> list[Pick]:
    """The films to ask about, the best first, by a greedy rule in O(size n (t + d)).

    Worth of a film: the sum over tags of score / (1 + support + scores of the films queued before), times 1 - c^2,
    c the cosine with the nearest film that is known or queued before. The sum is the greedy step for the logarithms of
    the tags' expected support, a feature-based submodular function (Kirchhoff and Bilmes 2014): a film that probably
    bears tags that few films bear is worth most, and after ten probable witches an eleventh is worth less. The factor
    keeps like films apart, as greedy k-centers do (Sener and Savarese 2018): a twin is worth nothing.

    Args:
        scores: (n, t) calibrated scores in 0..1 of the catalogue's films.
        embeddings: (n, d) float of unit length, `centred`.
        support: (t,) how many training films bear each tag.
        size: films to ask about; all, if there are fewer.
        known: (m, d), likewise, of films that are tagged already.

    Raises:
        MotagsError: the arrays don't fit each other, or a number is not finite.
    """
    _check(scores, embeddings, support, known)
    probabilities = scores.astype(np.float32, copy=False)  # (n, t)
    expected_support = 1.0 + support  # (t,)
    nearest = _nearest(embeddings, known)  # (n,)
    available = np.ones(len(scores), dtype=bool)
    picks = []
    for _ in range(min(size, len(scores))):
        worth = np.where(available, probabilities @ (1 / expected_support).astype(np.float32) * (1 - nearest**2), -1.0)
        row = int(worth.argmax())
        reasons = np.argsort(-probabilities[row] / expected_support, kind="stable")[:REASONS].tolist()
        picks.append(Pick(row, float(worth[row]), float(nearest[row]), reasons))
        available[row] = False
        expected_support = expected_support + probabilities[row]
        nearest = np.maximum(nearest, _clipped(embeddings @ embeddings[row]))
    return picks


def _check(scores: np.ndarray, embeddings: np.ndarray, support: np.ndarray, known: np.ndarray | None) -> None:
    if len(scores) != len(embeddings) or scores.shape[1:] != support.shape:
        raise MotagsError(
            f"scores {scores.shape}, embeddings {embeddings.shape} and support {support.shape} don't fit: give one row "
            "per film and one column per tag"
        )
    if known is not None and known.shape[1:] != embeddings.shape[1:]:
        raise MotagsError(
            f"the known films have embeddings {known.shape}, the others {embeddings.shape}: use one model"
        )
    if not (np.isfinite(scores).all() and np.isfinite(embeddings).all()):
        raise MotagsError("a score or an embedding is not finite: tag these films again")


def _nearest(embeddings: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Cosine (n,) with the most like known film, from 0; 0 where none is known."""
    if known is None or not len(known):
        return np.zeros(len(embeddings))
    chunks = [embeddings[first : first + CHUNK] for first in range(0, len(embeddings), CHUNK)]
    return np.concatenate([np.empty(0), *(_clipped((chunk @ known.T).max(1)) for chunk in chunks)])


def _clipped(cosines: np.ndarray) -> np.ndarray:
    return np.clip(cosines.astype(np.float64), 0, 1)


def write_suggestions(path: Path, films: Sequence[Suggestion]) -> None:
    """Write suggestions as a CSV file with their fields as columns; tags as in "witch 0.31 | War 0.20"."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Suggestion._fields)
        for film in films:
            tags = " | ".join(f"{tag} {score:.2f}" for tag, score in film.tags)
            writer.writerow([*map(neutral, film[:2]), f"{film.worth:.4f}", f"{film.likeness:.4f}", neutral(tags)])

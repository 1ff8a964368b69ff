"""What the model says: suggestions made ahead in the background, one film at once, and why."""

import json
import logging
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from motags.active_learning.explain import explain
from motags.films.text import Entry
from motags.tagger.model import Model
from motags.web.store import ReviewStore, Scored

BATCH = 32  # films scored at once in the background: a film that a reviewer waits for comes after one such batch
NEAR_MISSES = 5  # tags below their thresholds that are shown too, the closest ones
PAUSE = 30.0  # seconds after the file could not be read or written
MOST_FACTS = 6  # that are shown, the strongest
EXPLANATIONS = 512  # kept in memory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reason:
    """Why a film has a score for a tag.

    Attributes:
        sources, facts: kinds of evidence and facts of the film, each with by how much it moves the tag's log odds;
            the strongest facts first.
        pieces: the text, cut where words begin or end that carry the score; each with a weight from -1 to 1. None
            where there is no text.
        films: titles of the nearest training films that bear the tag, and their similarity.
        typical: tags of the text's cluster.
    """

    score: float
    threshold: float
    sources: tuple[tuple[str, float], ...]
    facts: tuple[tuple[str, float], ...]
    pieces: tuple[tuple[str, float], ...]
    films: tuple[tuple[str, float], ...]
    typical: tuple[str, ...]


class Scorer:
    """A model beside a review. It reads one film after another, however many ask."""

    def __init__(self, model: Model, store: ReviewStore) -> None:
        self.model, self.store = model, store
        self._column = {tag: j for j, tag in enumerate(model.tags_)}
        self._busy = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="suggestions", daemon=True)
        self.why = lru_cache(EXPLANATIONS)(self._why)

    def start(self) -> None:
        """Begin to score what this version of the model has not scored yet."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batch at hand."""
        self._stop.set()
        self._thread.join()

    def knows(self, tag: str) -> bool:
        """Whether it is a tag of the model."""
        return tag in self._column

    def _run(self) -> None:
        last_id = ""  # once through all films: two models on one file, where nothing keeps them apart, come to an end
        while not self._stop.is_set():
            try:
                if not (films := self.store.unscored(self.model.version_, BATCH, last_id)):
                    return
                self._score(films)
                last_id = films[-1]["id"]
            except sqlite3.OperationalError as error:
                log.error("no suggestions are made ahead for %.0f s: %s", PAUSE, error)
                self._stop.wait(PAUSE)

    def need(self, film: sqlite3.Row) -> None:
        """Score a film now if this version of the model has not."""
        if film["version"] != self.model.version_:
            self._score([film])

    def _score(self, films: Sequence[sqlite3.Row]) -> None:
        ids = [film["id"] for film in films]
        with self._busy:
            scored = self.model.score([self.entry(film) for film in films])
        scores = self.model.held_out(ids, scored)
        self.store.suggest(self.model.version_, self._read(ids, scores, scored.known))

    def _read(self, films: Sequence[str], scores: np.ndarray, known: np.ndarray) -> list[Scored]:
        thresholds = self.model.thresholds_
        uncertainties = np.where(known, uncertainty(scores, thresholds), -1.0)
        visible = (tags_to_show(scores, thresholds) | self._catalogued(films)) & known[:, None]
        return [
            Scored(
                film,
                float(uncertainties[i]),
                [
                    (self.model.tags_[j], float(scores[i, j]), bool(scores[i, j] >= thresholds[j]))
                    for j in np.flatnonzero(visible[i])
                ],
            )
            for i, film in enumerate(films)
        ]

    def _catalogued(self, films: Sequence[str]) -> np.ndarray:
        """The tags that the catalogue gives, (n, t) bool: their scores are shown too."""
        Y = np.zeros((len(films), len(self.model.tags_)), dtype=bool)
        for i, film in enumerate(films):
            Y[i, [self._column[tag] for tag in self.store.catalogued(film) if tag in self._column]] = True
        return Y

    def entry(self, film: sqlite3.Row) -> Entry:
        """What the model reads of a film of the review."""
        entry = self.model.text_rules_.entry(json.loads(film["record"]))
        assert isinstance(entry, Entry)  # noqa: S101, the film was read before it was stored
        return replace(entry, text=film["text"])

    def _why(self, film: str, tag: str) -> Reason:
        row = self.store.film(film)
        assert row is not None  # noqa: S101, the page shows it
        entry = self.entry(row)
        with self._busy:
            score = self.model.held_out([film], self.model.score([entry]))[0, self._column[tag]]
            explanation = explain(self.model, entry, [tag])[0]
        like = explanation.films if entry.text else []  # without a text a film is like no other
        films = tuple((title, float(similarity)) for _, title, similarity in like)
        return Reason(
            float(score), explanation.threshold, tuple(explanation.sources), tuple(explanation.facts[:MOST_FACTS]),
            pieces(entry.text, explanation.words), films, tuple(explanation.cluster_tags),
        )  # fmt: skip


def uncertainty(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How unsure the model is of each film, (n,): the number of its close calls, the closer the more.

    A tag counts from 1, where its score is at its threshold, down to 0, where the odds of the two differ by a factor
    of e or more.
    """
    return np.maximum(0, 1 - np.abs(_logit(scores) - _logit(thresholds))).sum(1)


def _logit(probability: np.ndarray) -> np.ndarray:
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))


def tags_to_show(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The tags to show, (n, t) bool: those at their thresholds, and of the others the closest ones."""
    predicted = scores >= thresholds
    below = np.where(predicted, -np.inf, _logit(scores) - _logit(thresholds))
    best = np.argsort(-below, axis=1, kind="stable")[:, :NEAR_MISSES]
    near_misses = np.zeros_like(predicted)
    np.put_along_axis(near_misses, best, True, axis=1)
    return predicted | near_misses


def pieces(text: str, words: Sequence[tuple[int, int, float]]) -> tuple[tuple[str, float], ...]:
    """A text cut at the spans of its words; weights are divided by the largest of them."""
    largest = max((abs(weight) for _, _, weight in words), default=0) or 1
    parts: list[tuple[str, float]] = []
    position = 0
    for start, end, weight in sorted(words):
        if start >= position:
            parts += [(text[position:start], 0.0), (text[start:end], float(weight) / largest)]
            position = end
    parts.append((text[position:], 0.0))
    return tuple((piece, weight) for piece, weight in parts if piece)

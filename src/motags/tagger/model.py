"""Model: what a tagger has learned. Scoring films with it needs no training stack."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from motags.evidence.kinds import TEXT, Encoder, Kind
from motags.films.text import Entry, TextRules, of_texts
from motags.tagger.checks import entries_of
from motags.tagger.training_films import TrainingFilms

if TYPE_CHECKING:
    from motags.tagger.pictures import Pictures

CHUNK = 1024  # films scored at once: bounds memory, changes no score
ROWS, PAIRS = 256, 250_000  # films and (film, tag) pairs that a ranker weighs at once: bounds memory alone

Manifest = dict[str, Any]


class Scores(NamedTuple):
    """What the model says of n films.

    Attributes:
        scores: (n, t) float32, calibrated.
        embeddings: (n, d) float32 of unit length, of the texts; 0 where there is none.
        clusters: (n,) int64, of the texts; -1 where there is none.
        known: (n,) bool, whether any evidence is known of the film.
    """

    scores: np.ndarray
    embeddings: np.ndarray
    clusters: np.ndarray
    known: np.ndarray


class Ranker(Protocol):
    """What weighs the evidence."""

    def predict_proba(self, evidence: np.ndarray) -> np.ndarray:
        """Scores (n, t) float32 of evidence (n, w, t) float32, NaN where a row is silent."""


def films_at_once(tags: int) -> int:
    """Of how many films a ranker weighs the evidence in one pass."""
    return min(ROWS, max(PAIRS // tags, 1))


class Model:
    """What a tagger has learned: evidence of each (film, tag) pair, one ranker that weighs it, one decision rule.

    The evidence of a film's text is an encoder tuned on the tags, a regression a tag on the words, and how much the
    text speaks of the tag's name and description; beside it stands what else is known of the film (`evidence.kinds`).
    The ranker has learned from evidence by models that had not seen the films.

    Attributes:
        tags_, kinds_, descriptions_: t names; "genre", "keyword" or "" of each; a sentence about each or "".
        thresholds_: (t,) float32; a film gets a tag whose score is at least its threshold.
        centroids_: (k, d) float32, of the clusters of the training films.
        films_: the training films that the ranker learned from: all, but of a large catalogue some.
        others_: ids of the other training films; support_: (t,) int64, how many training films bear each tag.
        text_rules_: what of a film's texts is read, for all commands to read alike.
        evidence_: the kinds of evidence beside the encoder's, by name.
        pictures_: what looks at posters and trailers; None where the model has learned without, or Pillow is missing.
        version_: names the saved model; "" before it is saved.
    """

    tags_: list[str]
    kinds_: list[str]
    descriptions_: list[str]
    thresholds_: np.ndarray
    centroids_: np.ndarray
    films_: TrainingFilms
    others_: list[str]
    support_: np.ndarray
    text_rules_: TextRules
    encoder_: Encoder
    evidence_: dict[str, Kind]
    pictures_: "Pictures | None"
    ranker_: Ranker
    version_ = ""

    def score(self, films: Any) -> Scores:
        """Scores, embeddings and clusters of n films; they don't depend on the films' order and company.

        Args:
            films: texts, or films; see `entries_of`.

        Raises:
            MotagsError: one can't be read.
        """
        films = entries_of(films, self.text_rules_)
        parts = [self._score(films[first : first + CHUNK]) for first in range(0, len(films), CHUNK)]
        if not parts:
            t, d = len(self.tags_), self.centroids_.shape[1]
            none = np.empty(0, np.int64)
            return Scores(np.empty((0, t), np.float32), np.empty((0, d), np.float32), none, none.astype(bool))
        return Scores(*map(np.concatenate, zip(*parts, strict=True)))

    def _score(self, films: list[Entry]) -> Scores:
        values, embeddings = self.evidence(self.looked_at(films))
        clusters = np.where([bool(film.text) for film in films], self.clusters(embeddings), -1)
        return Scores(self.ranker_.predict_proba(values), embeddings, clusters, ~np.isnan(values).all((1, 2)))

    def looked_at(self, films: list[Entry]) -> list[Entry]:
        """The films with vectors of their posters and trailers, where the model looks at them."""
        return self.pictures_.seen(films) if self.pictures_ else films

    def evidence(self, films: Sequence[Entry]) -> tuple[np.ndarray, np.ndarray]:
        """Evidence (n, w, t) of n films, NaN where a row is silent, and embeddings (n, d) of their texts, float32."""
        t, d = len(self.tags_), self.centroids_.shape[1]
        encoded = of_texts(films, lambda texts: np.concatenate(self.encoder_.encode(texts), axis=1), (t + d,))
        rows = [encoded[:, None, :t], *(kind.evidence(films) for kind in self.evidence_.values())]
        return np.concatenate(rows, axis=1), np.nan_to_num(encoded[:, t:])

    @property
    def sources_(self) -> list[str]:
        """What each of the w rows of evidence is drawn from: "text", "facts" and so on."""
        return [TEXT, *(kind.source for kind in self.evidence_.values() for _ in range(kind.rows))]

    def clusters(self, embeddings: np.ndarray) -> np.ndarray:
        """The nearest centroid of each of n embeddings (n, d), (n,) int64, by Euclidean distance."""
        return (embeddings @ self.centroids_.T - (self.centroids_**2).sum(1) / 2).argmax(1)

    def held_out(self, ids: Sequence[str], scored: Scores) -> np.ndarray:
        """Scores (n, t) of n films, of those in `films_` the ones by models that had not seen them.

        Args:
            ids: n, see `TrainingFilms.row`; scored: what `score` says of the films.
        """
        scores = scored.scores.copy()
        for i, id_ in enumerate(ids):
            if (row := self.films_.row(id_, scored.embeddings[i])) is not None:
                scores[i] = self.films_.out_of_fold[row]
        return scores

    def predict_proba(self, films: Any) -> np.ndarray:
        """Calibrated scores (n, t) float32 of n texts or films."""
        return self.score(films).scores

    def predict(self, films: Any) -> np.ndarray:
        """The tags that n texts or films get, (n, t) bool; one of which nothing is known gets none."""
        scored = self.score(films)
        return (scored.scores >= self.thresholds_) & scored.known[:, None]

    def tag(
        self, films: Any, *, top: int | None = None, threshold: float | None = None, least: int = 0
    ) -> list[list[tuple[str, float]]]:
        """The tags of each text or film with their scores, best first; see `chosen`.

        A film of which nothing is known gets none.
        """
        scored = self.score(films)
        rows = zip(scored.known, scored.scores, strict=True)
        return [self.chosen(row, top=top, threshold=threshold, least=least) if known else [] for known, row in rows]

    def chosen(
        self, scores: np.ndarray, *, top: int | None = None, threshold: float | None = None, least: int = 0
    ) -> list[tuple[str, float]]:
        """The tags of one film from its scores (t,), best first.

        Args:
            top: most tags; threshold: one for all tags instead of each tag's own; least: fewest tags, the best ones
                whatever their thresholds.
        """
        order = np.argsort(-scores, kind="stable")
        given = scores >= (self.thresholds_ if threshold is None else threshold)
        own = [j for place, j in enumerate(order) if given[j] or place < least][:top]
        return [(self.tags_[j], float(scores[j])) for j in own]

"""Model: what a tagger has learned. Scoring films with it needs no training stack."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from motags.evidence.kinds import Encoder, evidence
from motags.evidence.names import Names
from motags.evidence.words import Words
from motags.films.text import TextRules
from motags.tagger.checks import texts_of
from motags.tagger.training_films import TrainingFilms

CHUNK = 1024  # texts scored at once: bounds memory, changes no score
ROWS, PAIRS = 256, 250_000  # films and (film, tag) pairs that a ranker weighs at once: bounds memory alone

Manifest = dict[str, Any]


class Scores(NamedTuple):
    """What the model says of n texts.

    Attributes:
        scores: (n, t) float32, calibrated; embeddings: (n, d) float32 of unit length; clusters: (n,) int64.
    """

    scores: np.ndarray
    embeddings: np.ndarray
    clusters: np.ndarray


class Ranker(Protocol):
    """What weighs the evidence."""

    def predict_proba(self, evidence: np.ndarray) -> np.ndarray:
        """Scores (n, t) float32 of evidence (n, w, t) float32."""


def films_at_once(tags: int) -> int:
    """Of how many films a ranker weighs the evidence in one pass."""
    return min(ROWS, max(PAIRS // tags, 1))


class Model:
    """What a tagger has learned: evidence of each (film, tag) pair, one ranker that weighs it, one decision rule.

    The evidence is an encoder tuned on the tags, a regression a tag on the words, and how much the text speaks of
    the tag's name and description. The ranker has learned from scores that the first two gave to films which they had
    not seen.

    Attributes:
        tags_, kinds_, descriptions_: t names; "genre", "keyword" or "" of each; a sentence about each or "".
        thresholds_: (t,) float32; a film gets a tag whose score is at least its threshold.
        centroids_: (k, d) float32, of the clusters of the training films.
        films_: the training films that the ranker learned from: all, but of a large catalogue some.
        others_: ids of the other training films; support_: (t,) int64, how many training films bear each tag.
        text_rules_: which text of a film the texts were, for `motags tag` and `motags review` to read alike.
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
    words_: Words
    names_: Names
    ranker_: Ranker
    version_ = ""

    def score(self, texts: Sequence[str]) -> Scores:
        """Scores, embeddings and clusters of n texts; they don't depend on the texts' order and company.

        Raises:
            MotagsError: what stands for a text is none.
        """
        texts = texts_of(texts)
        parts = [self._score(texts[first : first + CHUNK]) for first in range(0, len(texts), CHUNK)]
        if not parts:
            t, d = len(self.tags_), self.centroids_.shape[1]
            return Scores(np.empty((0, t), np.float32), np.empty((0, d), np.float32), np.empty(0, np.int64))
        return Scores(*map(np.concatenate, zip(*parts, strict=True)))

    def _score(self, texts: list[str]) -> Scores:
        logits, embeddings = self.encoder_.encode(texts)
        scores = self.ranker_.predict_proba(evidence(logits, self.words_, self.names_, texts))
        return Scores(scores, embeddings, self.clusters(embeddings))

    def clusters(self, embeddings: np.ndarray) -> np.ndarray:
        """The nearest centroid of each of n embeddings (n, d), (n,) int64, by Euclidean distance."""
        return (embeddings @ self.centroids_.T - (self.centroids_**2).sum(1) / 2).argmax(1)

    def held_out(self, ids: Sequence[str], scored: Scores) -> np.ndarray:
        """Scores (n, t) of n films, of those in `films_` the ones by models that had not seen them.

        Args:
            ids: n, see `TrainingFilms.row`; scored: what `score` says of their texts.
        """
        scores = scored.scores.copy()
        for i, id_ in enumerate(ids):
            if (row := self.films_.row(id_, scored.embeddings[i])) is not None:
                scores[i] = self.films_.out_of_fold[row]
        return scores

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Calibrated scores (n, t) float32."""
        return self.score(texts).scores

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The tags that the texts get, (n, t) bool; a blank text gets none."""
        texts = texts_of(texts)
        return (self.predict_proba(texts) >= self.thresholds_) & np.array([[bool(text)] for text in texts], dtype=bool)

    def tag(
        self, texts: Sequence[str], *, top: int | None = None, threshold: float | None = None, least: int = 0
    ) -> list[list[tuple[str, float]]]:
        """The tags of each text with their scores, best first; see `chosen`. A blank text gets none."""
        texts = texts_of(texts)
        rows = zip(texts, self.predict_proba(texts), strict=True)
        return [self.chosen(row, top=top, threshold=threshold, least=least) if text else [] for text, row in rows]

    def chosen(
        self, scores: np.ndarray, *, top: int | None = None, threshold: float | None = None, least: int = 0
    ) -> list[tuple[str, float]]:
        """The tags of one text from its scores (t,), best first.

        Args:
            top: most tags; threshold: one for all tags instead of each tag's own; least: fewest tags, the best ones
                whatever their thresholds.
        """
        order = np.argsort(-scores, kind="stable")
        given = scores >= (self.thresholds_ if threshold is None else threshold)
        own = [j for place, j in enumerate(order) if given[j] or place < least][:top]
        return [(self.tags_[j], float(scores[j])) for j in own]

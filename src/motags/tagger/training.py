"""Training of the model: each kind of evidence, then the ranker, on evidence of films that its models have not seen."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field
from sentence_transformers import SentenceTransformer

from motags.dataset.split import folds_of
from motags.errors import MotagsError
from motags.evidence.encoder_training import TagEncoderParams, answers_of, logits_of, lower_states, tune
from motags.evidence.facts_training import FactsParams, fit_facts
from motags.evidence.kinds import BUILT_IN, PICTURES, Kind
from motags.evidence.label_attention import (
    TagAttention,
    TagEncoder,
    mean_of,
    tag_vectors,
    top_layers,
    transformer_of,
    whole,
)
from motags.evidence.names_training import fit_names
from motags.evidence.pictures_params import PicturesParams
from motags.evidence.torch_encoder import TorchEncoder
from motags.evidence.vectors_training import VectorsParams, fit_vectors
from motags.evidence.words_training import WordsParams, fit_words
from motags.films.text import Entry, TextField
from motags.paper.clusterer import Clusterer
from motags.paper.embedder import EmbedderParams, pretrained, refuse_too_many_tokens
from motags.params import Params
from motags.tagger import ranker
from motags.tagger.model import Model
from motags.tagger.ranker import RankerParams, share
from motags.tagger.training_films import TrainingFilms

MOST_PAIRS = 4_000_000  # (film, tag) pairs that the ranker learns from
log = logging.getLogger(__name__)


class TaggerParams(Params):
    """Section `tagger` of params.yaml."""

    fields: list[TextField]
    evidence: list[Literal["words", "names", "facts", "poster", "trailer", "vectors"]]
    folds: Annotated[int, Field(ge=2, le=20)]
    clusters: Annotated[int, Field(ge=1, le=10_000)]
    encoder: TagEncoderParams
    words: WordsParams
    facts: FactsParams
    vectors: VectorsParams
    ranker: RankerParams


SECTIONS: dict[str, Any] = {"tagger": TaggerParams, "embedder": EmbedderParams, "pictures": PicturesParams}


class Training:
    """One training of a tagger on n films and Y (n, t) bool.

    Attributes:
        embeddings: (m, d) float32 of unit length, of the films that the ranker learns from; when they are made.
    """

    embeddings: np.ndarray

    def __init__(
        self, model: Model, params: Mapping[str, Any], seed: int, films: list[Entry], Y: np.ndarray,
        encoder: SentenceTransformer | None,
    ) -> None:  # fmt: skip
        self.params: TaggerParams = params["tagger"]
        self.embedder: EmbedderParams = params["embedder"]
        self.seed = seed
        self.films, self.texts, self.Y = films, [film.text for film in films], Y
        self.has_text = np.array([bool(text) for text in self.texts])
        if not self.has_text.any():
            raise MotagsError("no training film has a text: the tagger needs texts to learn from, if not of every film")
        self.tags, self.descriptions = model.tags_, model.descriptions_
        self.encoder = encoder or pretrained(self.embedder)
        refuse_too_many_tokens(transformer_of(self.encoder), self.embedder)
        self.top = top_layers(self.encoder, self.params.encoder.trained_layers)
        self.states = lower_states(self.encoder, self.texts, self.embedder, self.params.encoder.trained_layers)
        pairs = zip(model.tags_, model.descriptions_, strict=True)
        said = [f"{tag}. {description}".strip() for tag, description in pairs]
        self.start = tag_vectors(self.encoder, said, self.embedder)

    @property
    def needed(self) -> int:
        """Films that make as many pairs as the ranker learns from."""
        return max(MOST_PAIRS // len(self.tags), self.params.folds)

    def folds(self) -> np.ndarray:
        """The fold (n,) of each film: its evidence is from models that are trained on the others.

        Where the ranker needs a small part of the films only, one fold is enough; -1 for films of none.

        Raises:
            MotagsError: all texts are the same.
        """
        n, k = len(self.texts), self.params.folds
        one_is_enough = self.needed * k < n
        texts = [film.text or film.id for film in self.films]
        fold = folds_of(texts, self.Y, max(4 * n // (5 * self.needed), 2) if one_is_enough else k, self.seed)
        if fold.max() < 1:
            raise MotagsError("all training films have the same text: the tagger needs films to compare")
        return np.where(fold == 0, 0, -1) if one_is_enough else fold

    def ranker_rows(self, fold: np.ndarray) -> np.ndarray:
        """Rows of the films that the ranker learns from, of those with a fold: all, or as many as are needed."""
        rows = np.random.default_rng(self.seed).permutation(len(self.texts))
        return np.sort(rows[fold[rows] >= 0][: self.needed])

    def encoders(self, rows: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, list[TagEncoder]]:
        """Logits of the films `rows`, (m, 1, t) float32, each by an encoder tuned on the other folds; the encoders."""
        values = np.empty((len(rows), 1, len(self.tags)), dtype=np.float32)
        encoders = []
        for k in np.unique(fold[rows]):
            log.info("evidence on fold %d of %d", k + 1, fold.max() + 1)
            held_out = fold[rows] == k
            encoders.append(self.tuned(np.flatnonzero((fold != k) & self.has_text)))
            values[held_out, 0] = logits_of(encoders[-1], self.states.part(rows[held_out]), self.embedder)
        values[~self.has_text[rows]] = np.nan
        return values, encoders

    def kinds(self, rows: np.ndarray, fold: np.ndarray) -> dict[str, tuple[Kind, np.ndarray]]:
        """Each kind of evidence beside the encoder's: a model of all films, and what is said of the films `rows`.

        What is said, (m, r, t) float32, is by models that have not seen the film. Kinds of which too little is known
        are left out.
        """
        learned: dict[str, Callable[[], tuple[Kind, np.ndarray] | None]] = {
            "words": lambda: self._words(rows, fold),
            "names": lambda: self._names(rows),
            "facts": lambda: fit_facts(self.films, self.Y, rows, self.params.facts, self.seed),
        }
        for name in self._vectors():
            learned[name] = partial(fit_vectors, name, self.films, self.Y, rows, self.params.vectors, self.seed)
        return {name: kind for name, learn in learned.items() if self._is_used(name) and (kind := learn())}

    def _vectors(self) -> list[str]:
        """The kinds of vectors that films have: of posters, of trailers, then the user's own."""
        names = {name for film in self.films for name in film.vectors}
        return [name for name in PICTURES if name in names] + sorted(names.difference(PICTURES))

    def _is_used(self, name: str) -> bool:
        return (name if name in BUILT_IN else "vectors") in self.params.evidence

    def _words(self, rows: np.ndarray, fold: np.ndarray) -> tuple[Kind, np.ndarray]:
        values = np.empty((len(rows), 1, len(self.tags)), dtype=np.float32)
        for k in np.unique(fold[rows]):
            train_rows, held_out = np.flatnonzero((fold != k) & self.has_text), fold[rows] == k
            texts = [self.texts[row] for row in train_rows]
            words = fit_words(texts, self.Y[train_rows], self.params.words, self.seed)
            values[held_out] = words.evidence([self.films[row] for row in rows[held_out]])
        texts = [text for text in self.texts if text]
        return fit_words(texts, self.Y[self.has_text], self.params.words, self.seed), values

    def _names(self, rows: np.ndarray) -> tuple[Kind, np.ndarray]:
        names = fit_names([text for text in self.texts if text], self.tags, self.descriptions, self.seed)
        return names, names.evidence([self.films[row] for row in rows])

    def tuned(self, rows: np.ndarray) -> TagEncoder:
        """The top layers tuned on some films."""
        Y = self.Y[rows]
        head = TagAttention(self.start, share(Y), self.params.encoder.dropout)
        return tune(self.top, head, self.states.part(rows), Y, self.params.encoder, self.embedder, self.seed)


class HeldOut(NamedTuple):
    """Evidence of m training films by models that have not seen them: what the ranker learns from.

    Attributes:
        rows: (m,) of the films; values: (m, w, t) float32, NaN where a row is silent.
        fold: (m,) int64, of the ranker's own cross-fitting.
        frequency: (t,), the share of all training films that bear each tag, if the m films are some of them.
    """

    rows: np.ndarray
    values: np.ndarray
    fold: np.ndarray
    frequency: np.ndarray | None


def train(
    model: Model, sections: Mapping[str, Any], seed: int, films: list[Entry], Y: np.ndarray,
    encoder: SentenceTransformer | None,
) -> None:  # fmt: skip
    """Train all parts of a model that knows its tags already; see `Tagger.fit`.

    Args:
        sections: records of the sections `tagger` and `embedder` of params.yaml.
    """
    training = Training(model, sections, seed, films, Y, encoder)
    params = training.params.ranker
    held = learn_evidence(model, training)
    rows, (values, labels) = held.rows, (held.values, Y[held.rows])
    out_of_fold = cross_fitted(values, labels, held.fold, params, seed, held.frequency, model.sources_)
    model.ranker_ = ranker.fit(values, labels, params, seed, held.frequency, model.sources_)
    model.thresholds_ = ranker.thresholds_of(out_of_fold, params.macro).astype(np.float32)
    ids, titles = [films[row].id for row in rows], [films[row].title or "" for row in rows]
    model.films_ = TrainingFilms(ids, titles, training.embeddings, labels, out_of_fold)
    model.others_ = [films[row].id for row in np.setdiff1d(np.arange(len(films)), rows)]
    model.support_ = Y.sum(0)


def learn_evidence(model: Model, training: Training) -> HeldOut:
    """Train each kind of evidence, and the clusters, for the model; give what the ranker learns from."""
    fold = training.folds()
    rows = training.ranker_rows(fold)
    logits, encoders = training.encoders(rows, fold)
    kinds = training.kinds(rows, fold)
    model.evidence_ = {name: kind for name, (kind, _) in kinds.items()}
    tuned = mean_of(encoders)
    model.encoder_ = TorchEncoder(whole(training.encoder, tuned), training.encoder.tokenizer, training.embedder)
    _, training.embeddings = answers_of(tuned, training.states.part(rows), training.embedder)
    clusterer = Clusterer(training.params.clusters, random_state=training.seed)
    model.centroids_ = clusterer.fit(training.embeddings).centroids_
    ranker_fold = fold[rows]
    if not fold.max():
        texts = [training.texts[row] for row in rows]
        ranker_fold = folds_of(texts, training.Y[rows], training.params.folds, training.seed)
    values = np.concatenate([logits, *(own for _, own in kinds.values())], axis=1)
    return HeldOut(rows, values, ranker_fold, None if len(rows) == len(training.films) else share(training.Y))


def cross_fitted(
    evidence: np.ndarray, Y: np.ndarray, fold: np.ndarray, params: RankerParams, seed: int,
    frequency: np.ndarray | None = None, sources: Sequence[str] = (),
) -> np.ndarray:  # fmt: skip
    """Scores (m, t) float32 of films by rankers that have not seen them; see `ranker.fit`; fold (m,)."""
    scores = np.empty(Y.shape, dtype=np.float32)
    for k in np.unique(fold):
        held = fold == k
        fitted = ranker.fit(evidence[~held], Y[~held], params, seed, frequency, sources)
        scores[held] = fitted.predict_proba(evidence[held])
    return scores

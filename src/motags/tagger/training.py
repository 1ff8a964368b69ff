"""Training of the model: each kind of evidence, then the ranker, on evidence of films that its models have not seen."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from sentence_transformers import SentenceTransformer

from motags.dataset.split import folds_of
from motags.errors import MotagsError
from motags.evidence.encoder_training import TagEncoderParams, answers_of, logits_of, lower_states, tune
from motags.evidence.kinds import evidence
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
from motags.evidence.torch_encoder import TorchEncoder
from motags.evidence.words_training import WordsParams, fit_words
from motags.paper.clusterer import Clusterer
from motags.paper.embedder import EmbedderParams, pretrained, refuse_too_many_tokens
from motags.params import Params
from motags.tagger import ranker
from motags.tagger.model import Model
from motags.tagger.ranker import RankerParams, share
from motags.tagger.training_films import TrainingFilms

KINDS = ("encoder", "words", "name", "description")
MOST_PAIRS = 4_000_000  # (film, tag) pairs that the ranker learns from
log = logging.getLogger(__name__)


class TaggerParams(Params):
    """Section `tagger` of params.yaml."""

    folds: Annotated[int, Field(ge=2, le=20)]
    clusters: Annotated[int, Field(ge=1, le=10_000)]
    encoder: TagEncoderParams
    words: WordsParams
    ranker: RankerParams


SECTIONS: dict[str, Any] = {"tagger": TaggerParams, "embedder": EmbedderParams}


class Training:
    """One training of a tagger on n texts and Y (n, t) bool."""

    def __init__(
        self, model: Model, params: Mapping[str, Any], seed: int, texts: list[str], Y: np.ndarray,
        encoder: SentenceTransformer | None,
    ) -> None:  # fmt: skip
        self.params: TaggerParams = params["tagger"]
        self.embedder: EmbedderParams = params["embedder"]
        self.seed = seed
        self.texts, self.Y, self.tags = texts, Y, model.tags_
        self.encoder = encoder or pretrained(self.embedder)
        refuse_too_many_tokens(transformer_of(self.encoder), self.embedder)
        self.top = top_layers(self.encoder, self.params.encoder.trained_layers)
        self.states = lower_states(self.encoder, texts, self.embedder, self.params.encoder.trained_layers)
        pairs = zip(model.tags_, model.descriptions_, strict=True)
        said = [f"{tag}. {description}".strip() for tag, description in pairs]
        self.start = tag_vectors(self.encoder, said, self.embedder)
        self.names = fit_names(texts, model.tags_, model.descriptions_, self.seed)

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
        fold = folds_of(self.texts, self.Y, max(4 * n // (5 * self.needed), 2) if one_is_enough else k, self.seed)
        if fold.max() < 1:
            raise MotagsError("all training films have the same text: the tagger needs films to compare")
        return np.where(fold == 0, 0, -1) if one_is_enough else fold

    def asked(self, fold: np.ndarray) -> np.ndarray:
        """Rows of the films that the ranker learns from, of those with a fold: all, or as many as are needed."""
        rows = np.random.default_rng(self.seed).permutation(len(self.texts))
        return np.sort(rows[fold[rows] >= 0][: self.needed])

    def evidence(self, asked: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, list[TagEncoder]]:
        """Evidence of the films `asked`, (m, w, t) float32, each from models of the other folds; and their encoders."""
        values = np.empty((len(asked), len(KINDS), len(self.tags)), dtype=np.float32)
        encoders = []
        for k in np.unique(fold[asked]):
            log.info("evidence on fold %d of %d", k + 1, fold.max() + 1)
            train_rows, held_out = np.flatnonzero(fold != k), fold[asked] == k
            encoders.append(self.tuned(train_rows))
            logits = logits_of(encoders[-1], self.states.part(asked[held_out]), self.embedder)
            train_texts = [self.texts[row] for row in train_rows]
            words = fit_words(train_texts, self.Y[train_rows], self.params.words, self.seed)
            values[held_out] = evidence(logits, words, self.names, [self.texts[row] for row in asked[held_out]])
        return values, encoders

    def tuned(self, rows: np.ndarray) -> TagEncoder:
        """The top layers tuned on some films."""
        Y = self.Y[rows]
        head = TagAttention(self.start, share(Y), self.params.encoder.dropout)
        return tune(self.top, head, self.states.part(rows), Y, self.params.encoder, self.embedder, self.seed)


def train(
    model: Model, sections: Mapping[str, Any], seed: int, texts: list[str], Y: np.ndarray, ids: list[str],
    titles: list[str], encoder: SentenceTransformer | None,
) -> None:  # fmt: skip
    """Train all parts of a model that knows its tags already; see `Tagger.fit`.

    Args:
        sections: records of the sections `tagger` and `embedder` of params.yaml.
    """
    training = Training(model, sections, seed, texts, Y, encoder)
    params = training.params
    fold = training.folds()
    asked = training.asked(fold)
    found, encoders = training.evidence(asked, fold)
    apart = fold[asked] if fold.max() else folds_of([texts[row] for row in asked], Y[asked], params.folds, seed)
    frequency = None if len(asked) == len(texts) else share(Y)
    out_of_fold = cross_fitted(found, Y[asked], apart, params.ranker, seed, frequency)
    tuned = mean_of(encoders)
    _, embeddings = answers_of(tuned, training.states.part(asked), training.embedder)
    model.encoder_ = TorchEncoder(whole(training.encoder, tuned), training.encoder.tokenizer, training.embedder)
    model.words_ = fit_words(texts, Y, params.words, seed)
    model.names_ = training.names
    model.ranker_ = ranker.fit(found, Y[asked], params.ranker, seed, frequency)
    model.thresholds_ = ranker.thresholds_of(out_of_fold, params.ranker.macro).astype(np.float32)
    model.centroids_ = Clusterer(params.clusters, random_state=seed).fit(embeddings).centroids_
    own = [[column[row] for row in asked] for column in (ids, titles)]
    model.films_ = TrainingFilms(own[0], own[1], embeddings, Y[asked], out_of_fold)
    model.others_ = [ids[row] for row in np.setdiff1d(np.arange(len(texts)), asked)]
    model.support_ = Y.sum(0)


def cross_fitted(
    evidence: np.ndarray, Y: np.ndarray, fold: np.ndarray, params: RankerParams, seed: int,
    frequency: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Scores (m, t) float32 of films by rankers that have not seen them; evidence (m, w, t), Y (m, t), fold (m,)."""
    scores = np.empty(Y.shape, dtype=np.float32)
    for k in np.unique(fold):
        held = fold == k
        scores[held] = ranker.fit(evidence[~held], Y[~held], params, seed, frequency).predict_proba(evidence[held])
    return scores

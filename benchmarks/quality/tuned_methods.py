"""Methods that tune an encoder, for peers.py: motags, the paper's, and the encoder end to end with a plain head."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from motags.evidence.encoder_training import Loss, TagEncoderParams, logits_of, lower_states, tune
from motags.evidence.label_attention import mean_state, top_layers
from motags.paper.clusterer import Clusterer, ClustererParams
from motags.paper.embedder import EmbedderParams, encode, layers_of, pretrained
from motags.paper.finetuning import finetune
from motags.paper.local_models import LocalModels, LocalModelsParams
from motags.tagger.tagger import Tagger
from motags.tagger.training import TaggerParams

END_TO_END = {
    "epochs": 4, "min_steps": 1, "batch_size": 32, "learning_rate": 1.0e-4, "head_learning_rate": 1.0e-3,
    "dropout": 0.1,
}  # fmt: skip


class Result(NamedTuple):
    """Scores of the validation films (m, t), by a model that has not seen them, and of the test films (n, t).

    `thresholds` (t,) are those of a method that brings its own; it needs no scores of validation films.
    """

    validation: np.ndarray
    test: np.ndarray
    train_seconds: float
    predict_seconds: float
    model_bytes: int
    thresholds: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """The texts of a split, the training labels, and the parameters of the project.

    Attributes:
        texts, Y: of the training films; validation, test: texts alone.
        Y_validation: (m, t) bool; only a method that tunes nothing on them may train on them.
    """

    texts: list[str]
    Y: np.ndarray
    validation: list[str]
    Y_validation: np.ndarray
    test: list[str]
    tags: list[str]
    descriptions: list[str]
    tagger: TaggerParams
    embedder: EmbedderParams
    clusterer: ClustererParams
    local_models: LocalModelsParams
    seed: int


class PlainHead(nn.Module):
    """The mean over tokens, dropout, one linear layer: the usual head of a classifier."""

    def __init__(self, d: int, t: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(d, t))

    def forward(self, states: Tensor, there: Tensor) -> Tensor:
        """Logits (b, t) of states (b, T, d) and which of them are there (b, T)."""
        logits: Tensor = self.layers(mean_state(states, there))
        return logits


def asymmetric(logits: Tensor, labels: Tensor, reduction: str, gamma: float = 4.0, margin: float = 0.05) -> Tensor:
    """Asymmetric loss (Ridnik et al. 2021, eq. 7) with its published negative focus and margin."""
    assert reduction == "none"  # noqa: S101, as `tune` asks for it
    absent = (torch.sigmoid(logits) - margin).clamp(min=0)
    return -labels * logsigmoid(logits) - (1 - labels) * absent.pow(gamma) * torch.log1p(-absent)


def motags(case: Case) -> Result:
    """What the project ships, trained on training and validation films alike: it tunes nothing on the latter."""
    started = time.perf_counter()
    tagger = Tagger(case.tagger, case.embedder, case.seed).fit(
        case.texts + case.validation, np.vstack([case.Y, case.Y_validation]), tags=case.tags,
        descriptions=dict(zip(case.tags, case.descriptions, strict=True)),
    )  # fmt: skip
    trained = time.perf_counter()
    test = tagger.predict_proba(case.test)
    done = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tagger.save(Path(folder) / "tagger")
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return Result(np.empty((0, len(case.tags))), test, trained - started, done - trained, size, tagger.thresholds_)


def end_to_end(case: Case, loss: Loss) -> Result:
    """All layers and a plain head trained on the tags; the token embeddings stay."""
    started = time.perf_counter()
    encoder = pretrained(case.embedder)
    layers = len(layers_of(encoder))
    params = TagEncoderParams(trained_layers=layers, **END_TO_END)  # type: ignore[arg-type]
    states = lower_states(encoder, case.texts, case.embedder, layers)
    torch.manual_seed(case.seed)
    head = PlainHead(states.values.shape[1], case.Y.shape[1], params.dropout)
    model = tune(top_layers(encoder, layers), head, states, case.Y, params, case.embedder, case.seed, loss)
    trained = time.perf_counter()
    scores = expit(logits_of(model, lower_states(encoder, case.test, case.embedder, layers), case.embedder))
    done = time.perf_counter()
    validation = logits_of(model, lower_states(encoder, case.validation, case.embedder, layers), case.embedder)
    size = sum(weight.nbytes for weight in encoder.parameters()) + sum(weight.nbytes for weight in head.parameters())
    return Result(expit(validation), scores, trained - started, done - trained, size)


def paper(case: Case) -> Result:
    """The paper's full method: triplets, clusters, local models, Class-Balanced loss."""
    started = time.perf_counter()
    encoder = pretrained(case.embedder)
    with tempfile.TemporaryDirectory() as folder:
        finetune(encoder, case.texts, case.Y, case.embedder, case.seed, Path(folder) / "checkpoint")
    X = encode(encoder, case.texts, case.embedder)
    clusterer = Clusterer(**case.clusterer.model_dump(), random_state=case.seed).fit(X)
    models = LocalModels(case.local_models, case.seed).fit(X, case.Y, clusterer.labels_)
    trained = time.perf_counter()
    X = encode(encoder, case.test, case.embedder)
    scores = models.predict_proba(X, clusterer.predict(X))
    done = time.perf_counter()
    X = encode(encoder, case.validation, case.embedder)
    validation = models.predict_proba(X, clusterer.predict(X))
    networks = models.networks_.parameters()
    size = sum(weight.nbytes for model in (encoder.parameters(), networks) for weight in model)
    return Result(validation, scores, trained - started, done - trained, size)


METHODS: dict[str, Callable[[Case], Result]] = {
    "bce": lambda case: end_to_end(case, nn.functional.binary_cross_entropy_with_logits),
    "asymmetric": lambda case: end_to_end(case, asymmetric),
    "ours": paper,
    "motags": motags,
}

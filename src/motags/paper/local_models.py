"""The local models: one small network a cluster, trained together as one batched product."""

import json
import logging
import math
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from motags.artifacts import checked, sealing
from motags.errors import refuse_infinite
from motags.params import Params

PREDICT_ROWS = 4096  # films of all clusters in one forward pass: bounds memory, changes no score

log = logging.getLogger(__name__)


class LocalModelsParams(Params):
    """Section `local_models` of params.yaml."""

    min_count: Annotated[int, Field(ge=1)]
    min_tags: Annotated[int, Field(ge=1)]
    widths: Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    balance: Literal["none", "positives", "by_class", "average"]
    beta: Annotated[float, Field(ge=0, lt=1)]


def effective_weights(counts: np.ndarray, beta: float) -> np.ndarray:
    """1 / E with E = (1 - beta^n) / (1 - beta), the effective number of samples (Cui et al. 2019, eq. 2).

    Args:
        counts: films a tag, at least 1 each; beta: from 0 (all weights 1) towards 1 (weights 1/n).
    """
    return (1 - beta) / (1 - np.power(beta, counts.astype(np.float64)))


class Dense(nn.Module):
    """k dense layers side by side: (k, b, i) to (k, b, o)."""

    def __init__(self, k: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)  # nn.Linear's initialisation
        self.weight = nn.Parameter(torch.empty(k, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(k, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """One batched product for all clusters."""
        return torch.baddbmm(self.bias, x, self.weight)


class Norm(nn.Module):
    """k batch normalisations side by side, each over the films of its own cluster's batch."""

    def __init__(self, k: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(k * width)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (k, b, o) over b."""
        k, b, o = x.shape
        flat = x.transpose(0, 1).reshape(b, k * o)
        return self.norm(flat).reshape(b, k, o).transpose(0, 1)


def networks(k: int, inputs: int, outputs: int, widths: list[int], dropout: float) -> nn.Sequential:
    """k networks: (dense + ReLU, batch norm, dropout) a width, then a dense layer to logits (Figure 3)."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [Dense(k, inputs, width), nn.ReLU(), Norm(k, width), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*layers, Dense(k, inputs, outputs))


class LocalModels:
    """One network a cluster, each for the tags that its cluster has (paper, section 3, Local Models).

    A tag belongs to a cluster with at least `min_count` training films that bear it there; a cluster
    with fewer than `min_tags` such tags takes its most frequent ones. Other tags score 0 there.

    Attributes:
        tags_: k lists of tag columns, the most frequent in the cluster first.
        t_: number of tags in all.
    """

    def __init__(self, params: LocalModelsParams, random_state: int) -> None:
        self.params = params
        self.random_state = random_state

    def fit(self, X: np.ndarray, Y: np.ndarray, clusters: np.ndarray) -> Self:
        """Train all networks together; an epoch shows as many films as X has, the same number to each network.

        Args:
            X: (n, d) float32 embeddings; Y: (n, t) bool; clusters: (n,) int, each cluster with a film.

        Raises:
            MotagsError: the loss is not finite.
        """
        torch.manual_seed(self.random_state)
        k = int(clusters.max()) + 1
        members = [np.flatnonzero(clusters == c) for c in range(k)]
        self.t_ = Y.shape[1]
        self.tags_ = [self._tags(Y[rows].sum(0)) for rows in members]
        self.inputs_ = X.shape[1]
        self.networks_ = self._build()
        films, targets, weights, output_mask = self._targets(X, Y, members)
        draws = self._draws(members)  # (steps, k, b)
        optimizer = torch.optim.Adam(self.networks_.parameters(), lr=self.params.learning_rate)
        cluster = torch.arange(k)[:, None]
        remedy = f"lower local_models.learning_rate (now {self.params.learning_rate:g})"
        for draw in draws:
            logits = self.networks_.train()(films[cluster, draw])  # (k, b, m)
            losses = binary_cross_entropy_with_logits(
                logits, targets[cluster, draw], weights[cluster, draw], reduction="none"
            )
            loss = (losses * output_mask).sum((1, 2)).div(output_mask.sum((1, 2)) * draw.shape[1]).sum()
            refuse_infinite(loss.item(), "the local models' loss", remedy)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.networks_.eval()
        log.info("%d networks trained together, %d steps of %d films each", k, len(draws), draws.shape[2])
        return self

    def predict_proba(self, X: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """Scores of n films, (n, t) float32; 0 for the tags that a film's cluster does not have."""
        scores = np.zeros((len(X), self.t_), dtype=np.float32)
        order = np.argsort(clusters, kind="stable")
        place = np.arange(len(X)) - np.searchsorted(clusters[order], clusters[order])  # within the cluster
        rows = max(PREDICT_ROWS // len(self.tags_), 1)  # of each cluster
        for first in range(0, int(place.max(initial=-1)) + 1, rows):
            chunk = (place >= first) & (place < first + rows)
            self._predict_into(scores, X, clusters, order[chunk], place[chunk] - first)
        return scores

    def _predict_into(
        self, scores: np.ndarray, X: np.ndarray, clusters: np.ndarray, rows: np.ndarray, place: np.ndarray
    ) -> None:
        batch = np.zeros((len(self.tags_), place.max() + 1, X.shape[1]), dtype=np.float32)  # (k, b, d)
        batch[clusters[rows], place] = X[rows]
        with torch.inference_mode():
            probabilities = torch.sigmoid(self.networks_(torch.as_tensor(batch))).numpy()  # (k, b, m)
        for c, tags in enumerate(self.tags_):
            members = clusters[rows] == c
            scores[np.ix_(rows[members], tags)] = probabilities[c, place[members], : len(tags)]

    def _tags(self, counts: np.ndarray) -> np.ndarray:
        ranked = np.argsort(-counts, kind="stable")
        frequent = int((counts >= self.params.min_count).sum())
        present = int((counts > 0).sum())
        return ranked[: max(frequent, min(self.params.min_tags, present), 1)]

    def _build(self) -> nn.Sequential:
        outputs = max(len(tags) for tags in self.tags_)
        return networks(len(self.tags_), self.inputs_, outputs, self.params.widths, self.params.dropout)

    def _targets(
        self, X: np.ndarray, Y: np.ndarray, members: list[np.ndarray]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Films (k, n_c, d), labels and weights (k, n_c, m), padded to the largest cluster; output mask (k, 1, m)."""
        k, n, m = len(members), max(map(len, members)), max(map(len, self.tags_))
        films = np.zeros((k, n, X.shape[1]), dtype=np.float32)
        targets, weights = np.zeros((2, k, n, m), dtype=np.float32)
        output_mask = np.zeros((k, 1, m), dtype=np.float32)
        for c, (tags, rows) in enumerate(zip(self.tags_, members, strict=True)):
            local = Y[np.ix_(rows, tags)]
            films[c, : len(rows)] = X[rows]
            targets[c, : len(rows), : len(tags)] = local
            weights[c, : len(rows), : len(tags)] = self._weights(local)
            output_mask[c, 0, : len(tags)] = 1
        return torch.as_tensor(films), torch.as_tensor(targets), torch.as_tensor(weights), torch.as_tensor(output_mask)

    def _weights(self, local: np.ndarray) -> np.ndarray:
        """Class-balanced weights of a cluster's labels, (n_c, m_c) as `local`; see `balance` in params.yaml."""
        if self.params.balance == "none":
            return np.ones(local.shape)
        weights = effective_weights(np.maximum(local.sum(0), 1), self.params.beta)  # (m_c,)
        if self.params.balance == "positives":
            return np.where(local, weights / weights.min(), 1.0)
        weights = weights / weights.mean()
        if self.params.balance == "by_class":
            return np.broadcast_to(weights, local.shape)
        film_weights = np.where(local.any(1), (local * weights).sum(1) / np.maximum(local.sum(1), 1), 1.0)
        return np.broadcast_to(film_weights[:, None], local.shape)

    def _draws(self, members: list[np.ndarray]) -> Tensor:
        """Which of its films each network sees at each step, (steps, k, b): shuffled passes, end to end.

        A pass runs on into the next, so that no batch is short and batch norm never sees one film.
        """
        n, k, b = sum(map(len, members)), len(members), self.params.batch_size
        steps = self.params.epochs * math.ceil(n / k / b)
        rng = np.random.default_rng(self.random_state)
        streams = []
        for rows in members:
            passes = [rng.permutation(len(rows)) for _ in range(math.ceil(steps * b / len(rows)))]
            streams.append(np.concatenate(passes)[: steps * b].reshape(steps, b))
        return torch.as_tensor(np.stack(streams, axis=1))

    def save(self, folder: Path) -> None:
        """Write the networks and the tags of each as a sealed folder."""
        with sealing(folder) as temporary:
            temporary.mkdir()
            save_file(self.networks_.state_dict(), temporary / "networks.safetensors")
            config = {
                "params": self.params.model_dump(),
                "random_state": self.random_state,
                "inputs": self.inputs_,
                "tags": [tags.tolist() for tags in self.tags_],
                "all_tags": self.t_,
            }
            (temporary / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises MotagsError where it is missing or damaged."""
        config = json.loads((checked(folder) / "config.json").read_text())
        models = cls(LocalModelsParams(**config["params"]), config["random_state"])
        models.t_, models.inputs_ = config["all_tags"], config["inputs"]
        models.tags_ = [np.array(tags, dtype=np.int64) for tags in config["tags"]]
        models.networks_ = models._build()
        models.networks_.load_state_dict(load_file(folder / "networks.safetensors"))
        models.networks_.eval()
        return models

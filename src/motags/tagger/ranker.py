"""Ranker: a small network that weighs the evidence of every (film, tag) pair, the same for all tags; the rule."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from motags.errors import refuse_infinite
from motags.params import Params
from motags.tagger.model import films_at_once

CLIP = 8.0  # standard deviations: further out, evidence says no more
WARMUP_STEPS = 20


class RankerParams(Params):
    """Section `tagger.ranker` of params.yaml."""

    width: Annotated[int, Field(ge=1, le=4096)]
    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    silence: Annotated[float, Field(ge=0, lt=1)]
    prior_films: Annotated[float, Field(ge=0)]
    macro: Annotated[float, Field(ge=0, le=1)]


class Ranker(nn.Module):
    """Calibrated scores from evidence: what it learns from frequent tags about a kind of evidence serves rare ones.

    Each row of evidence gives three features of a pair: against all pairs, against the tag's other films, and whether
    it is silent, that is, knows nothing of the film. With the tag's frequency these are the features of one network for
    all tags; a tag adds only a bias of its own, which `prior_films` films hold back.

    Attributes (buffers, so that they are saved with the weights):
        mean, deviation: (w, 1) of each row over all pairs; tag_mean, tag_deviation: (w, t) a tag.
        prior: (t,), log odds of each tag among the training films, standardised.
    """

    mean: Tensor
    deviation: Tensor
    tag_mean: Tensor
    tag_deviation: Tensor
    prior: Tensor

    def __init__(self, rows: int, tags: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        for name, shape in {"mean": (rows, 1), "tag_mean": (rows, tags)}.items():
            self.register_buffer(name, torch.zeros(shape))
            self.register_buffer(name.replace("mean", "deviation"), torch.ones(shape))
        self.register_buffer("prior", torch.zeros(tags))
        self.network = nn.Sequential(
            nn.Linear(3 * rows + 1, width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, 1),
        )  # fmt: skip
        self.bias = nn.Parameter(torch.zeros(tags))

    def forward(self, evidence: Tensor) -> Tensor:
        """Logits (b, t) of evidence (b, w, t), NaN where a row is silent."""
        silent = evidence.isnan()
        against_all = (evidence - self.mean) / self.deviation
        against_own = (evidence - self.tag_mean) / self.tag_deviation
        against = torch.cat([against_all, against_own], dim=1).clamp(-CLIP, CLIP)
        against = torch.where(torch.cat([silent, silent], dim=1), 0.0, against)
        prior = self.prior.clamp(-CLIP, CLIP).expand(evidence.shape[0], 1, -1)
        features = torch.cat([against, silent.to(against.dtype), prior], dim=1)  # (b, 3 w + 1, t)
        return self.network(features.transpose(1, 2)).squeeze(-1) + self.bias

    def proba(self, evidence: Tensor) -> Tensor:
        """Scores (b, t) of evidence (b, w, t)."""
        return 1 / (1 + torch.exp(-self(evidence)))  # onnxruntime's sigmoid is 0 below 1e-7, where rare tags would tie

    def predict_proba(self, evidence: np.ndarray) -> np.ndarray:
        """Scores (n, t) float32 of evidence (n, w, t)."""
        with torch.inference_mode():
            films = torch.as_tensor(evidence).split(films_at_once(len(self.bias)))
            parts = [self.proba(part) for part in films]
        return torch.cat(parts).numpy() if parts else np.empty((0, len(self.bias)), dtype=np.float32)


def fit(
    evidence: np.ndarray, Y: np.ndarray, params: RankerParams, seed: int, frequency: np.ndarray | None = None,
    sources: Sequence[str] = (),
) -> Ranker:  # fmt: skip
    """Train a ranker with binary cross-entropy.

    Args:
        evidence: (n, w, t) float32, each from models that have not seen the film; NaN where a row is silent.
        Y: (n, t) bool.
        frequency: (t,), the share of films that bear each tag, inside (0, 1), if the n films are a sample of more.
        sources: of each of the w rows, if they are more than one.

    Raises:
        MotagsError: the loss is not finite.
    """
    torch.manual_seed(seed)
    n, rows, t = evidence.shape
    ranker = Ranker(rows, t, params.width, params.dropout)
    X, labels = torch.as_tensor(evidence), torch.as_tensor(Y, dtype=torch.float32)
    of_source = torch.as_tensor(np.unique(list(sources) or [""] * rows, return_inverse=True)[1])
    _standardise(ranker, X, share(Y) if frequency is None else frequency)
    network: dict[str, Any] = {"params": list(ranker.network.parameters())}
    weights = [network, {"params": [ranker.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(weights, lr=params.learning_rate)
    b = min(max(params.batch_size // t, 1), n)
    passes = math.ceil(params.steps * b / n)
    batches = torch.cat([torch.randperm(n) for _ in range(passes)])[: params.steps * b].split(b)
    remedy = f"lower tagger.ranker.learning_rate (now {params.learning_rate:g})"
    for step, batch in enumerate(batches, start=1):
        for group in optimizer.param_groups:
            group["lr"] = params.learning_rate * min(1, step / WARMUP_STEPS) * (1 - step / (len(batches) + 1))
        logits = ranker(with_silence(X[batch], of_source, params.silence))
        loss = binary_cross_entropy_with_logits(logits, labels[batch], reduction="sum") / len(batch)
        loss = loss + params.prior_films * ranker.bias.square().sum() / 2 / n
        refuse_infinite(loss.item(), "the ranker's loss", remedy)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return ranker.eval()


def with_silence(evidence: Tensor, sources: Tensor, silence: float) -> Tensor:
    """Evidence (b, w, t) of which sources are left out at random, so that a ranker learns what to do without them.

    Args:
        sources: (w,) int64, the number of each row's source.
        silence: share of the films of which sources are left out: of these, any but all, each as likely as not.
    """
    b, k = len(evidence), int(sources.max()) + 1
    if not silence or k == 1:
        return evidence
    kept = torch.rand(b, k) < 0.5
    kept |= ((torch.rand(b) >= silence) | ~kept.any(1))[:, None]
    return evidence.masked_fill(~kept[:, sources, None], torch.nan)


def share(Y: np.ndarray) -> np.ndarray:
    """The share of n films with tags Y (n, t) that bear each, (t,), inside (0, 1)."""
    return (Y.sum(0) + 0.5) / (len(Y) + 1)


def _standardise(ranker: Ranker, evidence: Tensor, frequency: np.ndarray) -> None:
    least = torch.finfo(torch.float32).eps
    for name, over in {"": (0, 2), "tag_": (0,)}.items():
        mean = evidence.nanmean(over, keepdim=True)
        deviation = (evidence - mean).square().nanmean(over, keepdim=True).sqrt()
        getattr(ranker, f"{name}mean").copy_(mean[0].nan_to_num(0.0))
        getattr(ranker, f"{name}deviation").copy_(deviation[0].nan_to_num(1.0).clamp(min=least))
    odds = torch.logit(torch.as_tensor(frequency, dtype=torch.float32))
    ranker.prior.copy_((odds - odds.mean()) / odds.std(correction=0).clamp(min=least))
    nn.init.constant_(cast("nn.Linear", ranker.network[-1]).bias, float(odds.mean()))


def thresholds_of(S: np.ndarray, macro: float) -> np.ndarray:
    """A threshold a tag, (t,), from calibrated scores alone; no label is needed.

    The threshold that maximises the expected F1 is half of that F1 (Lipton et al. 2014, theorem 1). Taken a tag it
    serves macro-F1, taken over all pairs micro-F1; `macro`, from 0 to 1, says how far to go from the latter to the
    former.

    Args:
        S: (n, t) calibrated scores of films like those to be tagged.
    """
    each = np.array([_expected_f1(column) for column in S.T])
    return (macro * each + (1 - macro) * _expected_f1(S.ravel())) / 2


def _expected_f1(s: np.ndarray) -> float:
    """The best F1 that is expected of pairs with scores s, (m,)."""
    hits = np.cumsum(np.sort(s)[::-1], dtype=np.float64)
    return float((2 * hits / (np.arange(1, len(s) + 1) + hits[-1])).max()) if len(s) else 0.0

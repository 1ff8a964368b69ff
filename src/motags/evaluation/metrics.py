"""Every score, from arrays: Y (n, t) bool is the truth, S (n, t) float the scores, higher is likelier."""

from typing import Annotated, NamedTuple, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from sklearn.metrics import precision_recall_curve, roc_auc_score

from motags.params import Params

KS = (1, 3, 5)
PAPER_THRESHOLD = 0.5
RULES = ("", "_tuned")  # a threshold of 0.5; the method's own thresholds or tuned ones


class EvaluateParams(Params):
    """Section `evaluate` of params.yaml."""

    shrinkage: Annotated[float, Field(ge=0)]
    head: Annotated[float, Field(gt=0, lt=1)]
    tail: Annotated[float, Field(gt=0, lt=1)]
    resamples: Annotated[int, Field(ge=10, le=100_000)]

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if self.head + self.tail > 1:
            raise ValueError(f"head {self.head:g} and tail {self.tail:g} are more than all tags together: lower one")
        return self


def f1_per_tag(Y: np.ndarray, P: np.ndarray) -> np.ndarray:
    """F1 a tag, (t,), of decisions P (n, t) bool; 0 where neither truth nor decision has the tag."""
    return _f1((Y & P).sum(0), P.sum(0), Y.sum(0))


def micro_f1(Y: np.ndarray, P: np.ndarray) -> float:
    """F1 over all (film, tag) pairs."""
    return float(_f1((Y & P).sum(), P.sum(), Y.sum()))


def _f1(hits: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> np.ndarray:
    return 2 * hits / np.maximum(predicted + support, 1)


def best_thresholds(Y: np.ndarray, S: np.ndarray, shrinkage: float) -> np.ndarray:
    """A threshold a tag, (t,), that maximises F1 on validation films, shrunk to the one best for all.

    threshold = (support * per_tag + shrinkage * shared) / (support + shrinkage): a tag that few
    validation films bear follows the shared threshold. A film gets a tag at or above its threshold;
    scores of 0 never count.
    """
    shared = _best_threshold(Y.ravel(), S.ravel())
    per_tag = np.array([_best_threshold(y, s) for y, s in zip(Y.T, S.T, strict=True)])
    support = Y.sum(0)
    trust = support / np.maximum(support + shrinkage, np.finfo(float).tiny)  # 0 for a tag that no film bears
    return trust * per_tag + (1 - trust) * shared


def _best_threshold(y: np.ndarray, s: np.ndarray) -> float:
    order = np.argsort(-s, kind="stable")
    s, hits = s[order], np.cumsum(y[order])
    ends_tie = np.append(s[1:] != s[:-1], True) & (s > 0)  # ties are decided together
    if not ends_tie.any() or not y.any():
        return PAPER_THRESHOLD
    f1 = np.where(ends_tie, _f1(hits, np.arange(1, len(s) + 1), y.sum()), -1.0)
    best = int(f1.argmax())
    above, below = float(s[best]), max(float(s[best + 1]), 0.0) if best + 1 < len(s) else 0.0
    middle = (above + below) / 2
    return middle if middle > below else above


def decide(S: np.ndarray, thresholds: np.ndarray | float) -> np.ndarray:
    """The tags that the films get, (n, t) bool."""
    return (thresholds <= S) & (S > 0)


def propensity(Y: np.ndarray, a: float = 0.55, b: float = 1.5) -> np.ndarray:
    """How likely a true tag is to be seen, (t,), from training labels (Jain et al. 2016, section 5)."""
    n, counts = len(Y), Y.sum(0)
    c = (np.log(n) - 1) * (b + 1) ** a
    return 1 / (1 + c * np.exp(-a * np.log(counts + b)))


def ranking(Y: np.ndarray, S: np.ndarray, inverse_propensity: np.ndarray) -> dict[str, np.ndarray]:
    """Per-film parts of P@1, P@3, P@5, nDCG@5 and PSP@5; one sort serves them all. A score of 0 is no prediction.

    Returns:
        Arrays (n,); the mean of `p_at_k` and `ndcg_at_5` is the metric. PSP@5 is the sum of
        `psp_at_5` over the sum of `psp_at_5_best`, the gain of the best possible ranking.
    """
    width = max(KS)
    top = np.argsort(-S, axis=1, kind="stable")[:, :width]  # (n, <= 5)
    has_score = np.take_along_axis(S, top, axis=1) > 0  # (n, <= 5)
    hit = np.take_along_axis(Y, top, axis=1) & has_score  # (n, <= 5)
    discount = 1 / np.log2(np.arange(2, hit.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(Y.sum(1), hit.shape[1])]
    gain = Y * inverse_propensity  # (n, t)
    best = -np.sort(-gain, axis=1)[:, :width]
    parts = {f"p_at_{k}": hit[:, :k].sum(1) / k for k in KS}
    parts["ndcg_at_5"] = (hit * discount).sum(1) / np.maximum(ideal, discount[0])
    parts["psp_at_5"] = (np.take_along_axis(gain, top, axis=1) * has_score).sum(1)
    parts["psp_at_5_best"] = best.sum(1)
    return parts


def frequency_bands(counts: np.ndarray, head: float, tail: float) -> dict[str, np.ndarray]:
    """Tags by training frequency: the most frequent share `head`, the rarest share `tail`, torso between."""
    ranked = np.argsort(-counts, kind="stable")
    first, last = max(round(head * len(ranked)), 1), len(ranked) - round(tail * len(ranked))
    return {"head": ranked[:first], "torso": ranked[first:last], "tail": ranked[max(first, last) :]}


def macro_auc(Y: np.ndarray, S: np.ndarray) -> float:
    """The mean over tags of the area under the ROC curve; tags that all or no films bear have none."""
    measurable = Y.any(0) & ~Y.all(0)
    return float(roc_auc_score(Y[:, measurable], S[:, measurable], average="macro")) if measurable.any() else 0.0


def calibration_error(Y: np.ndarray, S: np.ndarray, bins: int = 20) -> float:
    """Expected calibration error over all (film, tag) pairs, in bins of equal width (Guo et al. 2017, eq. 3)."""
    bin_of = np.minimum((S.ravel() * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=S.ravel() - Y.ravel(), minlength=bins)
    return float(np.abs(gaps).sum() / Y.size)


class MethodScores(NamedTuple):
    """One method's scores of the validation and of the test films, (m, t) and (n, t).

    `thresholds` (t,) are those of a method that brings its own; the others' are found on the validation films.
    """

    validation: np.ndarray
    test: np.ndarray
    thresholds: np.ndarray | None = None


class Evaluator:
    """Scores every method on the same test films, and compares two by a paired bootstrap.

    Args:
        Y_train, Y_validation, Y_test: labels of the three parts, (n, t) bool each.
    """

    def __init__(
        self, Y_train: np.ndarray, Y_validation: np.ndarray, Y_test: np.ndarray, params: EvaluateParams
    ) -> None:
        self.Y_validation, self.Y_test = Y_validation, Y_test
        self.params = params
        self.inverse_propensity = 1 / propensity(Y_train)
        self.bands = frequency_bands(Y_train.sum(0), params.head, params.tail)

    def decisions(self, method: MethodScores) -> dict[str, np.ndarray]:
        """Decisions on the test films at 0.5 (the paper's) and at the method's or tuned thresholds ("_tuned")."""
        tuned = method.thresholds
        if tuned is None:
            tuned = best_thresholds(self.Y_validation, method.validation, self.params.shrinkage)
        return {"": decide(method.test, PAPER_THRESHOLD), "_tuned": decide(method.test, tuned)}

    def scores(self, method: MethodScores) -> dict[str, float]:
        """All metrics of one method."""
        parts = self._parts(method)
        scores = _combine(parts, np.ones((1, len(self.Y_test))))
        result = {name: float(values[0]) for name, values in scores.items()}
        result["macro_auc"] = macro_auc(self.Y_test, method.test)
        result["calibration_error"] = calibration_error(self.Y_test, method.test)
        for rule in RULES:
            per_tag = f1_per_tag(self.Y_test, parts[f"predicted{rule}"])
            for band, tags in self.bands.items():
                result[f"macro_f1_{band}{rule}"] = float(per_tag[tags].mean()) if len(tags) else 0.0
        return result

    def difference(self, method: MethodScores, other: MethodScores, seed: int) -> dict[str, dict[str, float]]:
        """95 % intervals of the difference of two methods, by resampling the test films in pairs."""
        weights = resamples(len(self.Y_test), self.params.resamples, seed)
        values, other_values = (self.resampled(each, weights) for each in (method, other))
        return {name: interval(values[name] - other_values[name]) for name in values}

    def resampled(self, method: MethodScores, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The metrics of one method, (r,) each, with the n test films weighted by each row of weights (r, n)."""
        return _combine(self._parts(method), weights)

    def _parts(self, method: MethodScores) -> dict[str, np.ndarray]:
        parts = ranking(self.Y_test, method.test, self.inverse_propensity)
        for rule, P in self.decisions(method).items():
            parts |= {f"hits{rule}": self.Y_test & P, f"predicted{rule}": P}
        return parts | {"labels": self.Y_test}


def _combine(parts: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics from per-film parts, one value for each row of weights (r, n)."""
    scores = {}
    support = weights @ parts["labels"]  # (r, t)
    for rule in RULES:
        hits, predicted = weights @ parts[f"hits{rule}"], weights @ parts[f"predicted{rule}"]
        scores[f"micro_f1{rule}"] = _f1(hits.sum(1), predicted.sum(1), support.sum(1))
        scores[f"macro_f1{rule}"] = _f1(hits, predicted, support).mean(1)
    for name in [f"p_at_{k}" for k in KS] + ["ndcg_at_5"]:
        scores[name] = weights @ parts[name] / weights.sum(1)
    scores["psp_at_5"] = (weights @ parts["psp_at_5"]) / (weights @ parts["psp_at_5_best"])
    return scores


def resamples(n: int, times: int, seed: int) -> np.ndarray:
    """How often each of n films is drawn, with replacement, (times, n) float64."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=times).astype(np.float64)


def interval(differences: np.ndarray) -> dict[str, float]:
    """The 95 % interval of bootstrapped differences (r,)."""
    low, high = np.quantile(differences, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def precision_recall(Y: np.ndarray, S: np.ndarray, points: int = 100) -> pd.DataFrame:
    """Precision at evenly spaced recalls over all (film, tag) pairs with a score above 0."""
    precision, recall, thresholds = precision_recall_curve(Y.ravel(), S.ravel())
    scored = np.append(thresholds > 0, True)
    precision, recall = precision[scored][::-1], recall[scored][::-1]  # the best precision of a recall comes first
    nearest = np.unique([np.abs(recall - level).argmin() for level in np.linspace(0, recall.max(), points)])
    return pd.DataFrame({"recall": recall[nearest], "precision": precision[nearest]})

"""Training of regressions: one a tag, by scikit-learn."""

from collections.abc import Sequence

import joblib
import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from motags.evidence.regressions import Regressions
from motags.evidence.sparse import SparseRows

MOST_FILMS = 20_000  # of a tag's regression that do not bear it; more change little and cost much
MOST_PAIRS = 20_000_000  # such (film, tag) pairs of all tags together; at least LEAST_FILMS a tag
LEAST_FILMS = 2_000
MOST_COEFFICIENTS = 50_000_000  # kept of all tags: of more, each tag keeps its largest KEPT
KEPT = 4_000


def regression(C: float, seed: int) -> LogisticRegression:
    """Logistic regression of one tag, classes weighted to balance."""
    return LogisticRegression(C=C, class_weight="balanced", solver="liblinear", random_state=seed)


def fit_regressions(X: csr_matrix, Y: np.ndarray, C: float, seed: int) -> Regressions:
    """Learn from n films with features X (n, v) and Y (n, t) bool; a tag that all or no films bear gets a constant.

    Args:
        C: inverse strength of the penalty.
    """
    v, t = X.shape[1], Y.shape[1]
    kept_features = v if v * t <= MOST_COEFFICIENTS else min(KEPT, v)
    without = min(MOST_FILMS, max(MOST_PAIRS // t, LEAST_FILMS))
    one = joblib.delayed(_fit_tag)
    work = joblib.Parallel(n_jobs=torch.get_num_threads(), prefer="threads")
    fitted = work(one(X, y, C, seed + j, without, kept_features) for j, y in enumerate(Y.T))
    features, values, intercepts = zip(*fitted, strict=True)
    coef = _dense(features, values, v) if kept_features == v else _sparse(features, values, v)
    return Regressions(coef, np.array(intercepts, dtype=np.float32))


def _fit_tag(
    X: csr_matrix, y: np.ndarray, C: float, seed: int, most_without: int, kept_features: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of one tag the features that are kept, (z,) int32, their coefficients (z,) float32, and the intercept."""
    if y.all() or not y.any():
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32), 1.0 if y.all() else -1.0
    features = np.arange(X.shape[1], dtype=np.int32)
    if len(y) - y.sum() > most_without:
        X, y, features = _drawn(X, y, seed, most_without)
    model = regression(C, seed).fit(X, y)
    values = model.coef_[0].astype(np.float32)
    if len(values) > kept_features:
        largest = np.sort(np.argpartition(-np.abs(values), kept_features)[:kept_features])
        features, values = features[largest], values[largest]
    return features, values, float(model.intercept_[0])


def _drawn(X: csr_matrix, y: np.ndarray, seed: int, most_without: int) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """The films that bear the tag and some that do not, and the features that they have: others would get no weight."""
    without = np.random.default_rng(seed).choice(np.flatnonzero(~y), most_without, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(y), without]))
    own = X[rows]
    features, places = np.unique(own.indices, return_inverse=True)
    return csr_matrix((own.data, places.astype(np.int32), own.indptr), (len(rows), len(features))), y[rows], features


def _dense(features: Sequence[np.ndarray], values: Sequence[np.ndarray], v: int) -> np.ndarray:
    coef = np.zeros((v, len(features)), dtype=np.float32)
    for tag, (own, weights) in enumerate(zip(features, values, strict=True)):
        coef[own, tag] = weights
    return coef


def _sparse(features: Sequence[np.ndarray], values: Sequence[np.ndarray], v: int) -> SparseRows:
    tags = np.repeat(np.arange(len(features), dtype=np.int32), [len(own) for own in features])
    return SparseRows.of_places(np.concatenate(features), tags, np.concatenate(values), (v, len(features)))

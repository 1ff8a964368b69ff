"""How well planted errors are found among tags: `motags audit` beside cleanlab and beside the plain score.

    python benchmarks/quality/audit.py ../shared/real/motags.jsonl.gz --out results/audit

SHARE of each tag's films lose it (missing), and as many labels are added (wrong): either each tag gets as many as it
lost, on random films that lack it, or they fall on any pairs, so mostly on rare tags. A learner is trained on the
damaged labels (quick_learner.py), with cross-fitted scores, and each method ranks all labels by them. Errors that the
catalogue had before count as no errors, so that no precision is what a user sees; all methods suffer alike.

cleanlab: `get_label_quality_scores_per_class` with each of its methods. Its default, the self-confidence, is the plain
score. It takes labels a class as one against the rest.
"""

import numpy as np
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from sklearn.metrics import average_precision_score

from motags.active_learning.audit import doubts
from motags.tagger.training import cross_fitted
from quick_learner import QuickLearner, learner_of

SPLIT = 42
SEEDS = [1, 2, 3]
SHARE = 0.1
KS = (100, 500, 1000)
KINDS = ("as many a tag", "any pairs")
CLEANLAB = {
    "cleanlab, self-confidence (plain score)": {"method": "self_confidence", "adjust_pred_probs": False},
    "cleanlab, self-confidence, adjusted": {"method": "self_confidence", "adjust_pred_probs": True},
    "cleanlab, normalised margin": {"method": "normalized_margin", "adjust_pred_probs": False},
    "cleanlab, normalised margin, adjusted": {"method": "normalized_margin", "adjust_pred_probs": True},
    "cleanlab, confidence-weighted entropy": {"method": "confidence_weighted_entropy", "adjust_pred_probs": False},
}


def damaged(Y: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Labels (n, t) with planted errors."""
    noisy = Y.copy()
    for j in range(Y.shape[1]):
        lost = rng.choice(np.flatnonzero(Y[:, j]), max(1, round(SHARE * Y[:, j].sum())), replace=False)
        noisy[lost, j] = False
        if kind == KINDS[0]:
            noisy[rng.choice(np.flatnonzero(~Y[:, j]), len(lost), replace=False), j] = True
    if kind == KINDS[1]:
        noisy.ravel()[rng.choice(np.flatnonzero(~Y.ravel()), int((Y & ~noisy).sum()), replace=False)] = True
    return noisy


def cross_fitted_scores(learner: QuickLearner, rows: np.ndarray, Y: np.ndarray, seed: int) -> np.ndarray:
    """Calibrated scores (n, t) of films `rows`, each by models that have not seen it."""
    found = learner.evidence(rows, Y, names=True)[rows]
    fold = np.random.default_rng(seed).integers(0, 3, len(rows))
    return cross_fitted(found, Y, fold, learner.params, seed)


def rankings(Y: np.ndarray, S: np.ndarray) -> dict[str, np.ndarray]:
    """How suspect each label is, (n, t), a method; higher is worse."""
    labels = [np.flatnonzero(row).tolist() for row in Y]
    theirs = {
        name: -np.asarray(get_label_quality_scores_per_class(labels, S.astype(np.float64), **settings))
        for name, settings in CLEANLAB.items()
    }
    return {"motags audit": doubts(Y, S), **theirs}


def measured(doubt: np.ndarray, errors: np.ndarray, Y: np.ndarray) -> list[float]:
    """Average precision over all labels, over the given and over those not given, and the precision of the k worst."""
    worst = errors.ravel()[np.argsort(-doubt, axis=None, kind="stable")]
    parts = [np.ones_like(Y), Y, ~Y]
    precision = [float(average_precision_score(errors[part], doubt[part])) for part in parts]
    return precision + [float(worst[:k].mean()) for k in KS]


def main() -> None:
    """Plant errors, rank labels, print a table a kind of error."""
    learner = learner_of(__doc__)
    own = learner.bench.rows(SPLIT)
    rows = np.concatenate([own["train"], own["validation"]])
    truth = learner.corpus.Y[rows]
    for kind in KINDS:
        found: dict[str, list[list[float]]] = {}
        for seed in SEEDS:
            Y = damaged(truth, kind, np.random.default_rng(seed))
            S = cross_fitted_scores(learner, rows, Y, seed)
            for name, doubt in rankings(Y, S).items():
                found.setdefault(name, []).append(measured(doubt, truth != Y, Y))
        print(f"\nwrong labels on {kind}; {(truth != Y).mean():.4f} of all labels are errors\n")
        print("| | AP | AP wrong | AP missing | " + " | ".join(f"P@{k}" for k in KS) + " |\n| --- |" + " --: |" * 6)
        for name, values in found.items():
            print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in np.mean(values, axis=0)) + " |", flush=True)


if __name__ == "__main__":
    main()

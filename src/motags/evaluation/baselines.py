"""What the paper's method is measured against: two floors, and one network over all tags."""

import numpy as np

from motags.evidence.regressions_training import regression
from motags.evidence.words_training import WordsParams, fit_vectorizer
from motags.paper.local_models import LocalModels, LocalModelsParams


def constant(Y: np.ndarray, n: int) -> np.ndarray:
    """The same answer for n films: each tag's training frequency, the most frequent ones lifted to 0.5 and more.

    As many are lifted as a training film has tags on average, so that a threshold of 0.5 gives
    every film that many tags.

    Args:
        Y: (m, t) bool, training labels.
    """
    frequency = Y.mean(0)  # (t,)
    top = np.argsort(-frequency, kind="stable")[: max(round(Y.sum(1).mean()), 1)]
    scores = frequency / 2
    scores[top] += 0.5
    return np.tile(scores.astype(np.float32), (n, 1))


def tfidf_regression(train: list[str], Y: np.ndarray, texts: list[str], params: WordsParams, seed: int) -> np.ndarray:
    """One logistic regression a tag on TF-IDF, classes weighted to balance; scores of `texts`, (n, t).

    Raises:
        MotagsError: no word is frequent enough.
    """
    vectorizer, X = fit_vectorizer(train, params, "tfidf")
    X_new = vectorizer.transform(texts)
    scores = np.empty((len(texts), Y.shape[1]), dtype=np.float32)
    for j, y in enumerate(Y.T):
        single_class = y.all() or not y.any()  # nothing to tell apart
        scores[:, j] = y[0] if single_class else regression(params.C, seed).fit(X, y).predict_proba(X_new)[:, 1]
    return scores


def one_network(
    X: np.ndarray, Y: np.ndarray, X_new: np.ndarray, params: LocalModelsParams, balance: str, seed: int
) -> np.ndarray:
    """One network over all tags, as if all films were one cluster; scores of X_new, (n, t)."""
    everything = params.model_copy(update={"balance": balance, "min_count": 1})
    model = LocalModels(everything, seed).fit(X, Y, np.zeros(len(X), dtype=np.int64))
    return model.predict_proba(X_new, np.zeros(len(X_new), dtype=np.int64))

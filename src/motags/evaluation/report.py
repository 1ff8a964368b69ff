"""The tables and plots of an experiment: every method on the same test films."""

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from motags.dataset.corpus import Corpus
from motags.evaluation.metrics import EvaluateParams, Evaluator, MethodScores, f1_per_tag, precision_recall
from motags.evaluation.rows import ROWS

NAMES = [row.key for row in ROWS]


def evaluate(
    corpus: Corpus, parts: dict[str, np.ndarray], scores: dict[str, np.ndarray], params: EvaluateParams, seed: int
) -> tuple[dict[str, object], pd.DataFrame, pd.DataFrame]:
    """Score all methods (paper, Table 3, and the rows of the ablation).

    Args:
        parts: rows of train, validation and test; scores: each method's (n, t) scores of all films, and the (t,)
            thresholds of a method that brings its own, as `METHOD_thresholds`.

    Returns:
        The metrics of each method; F1 a tag against its support; precision and recall of each method.
    """
    train, validation, test = (parts[name] for name in ("train", "validation", "test"))
    evaluator = Evaluator(corpus.Y[train], corpus.Y[validation], corpus.Y[test], params)
    methods = {
        name: MethodScores(scores[name][validation], scores[name][test], scores.get(f"{name}_thresholds"))
        for name in NAMES
    }
    metrics: dict[str, dict[str, object]] = {name: dict(evaluator.scores(methods[name])) for name in NAMES}
    for row in ROWS:
        for other in row.compared:
            metrics[row.key][f"difference_to_{other}"] = evaluator.difference(methods[row.key], methods[other], seed)
    plotted = [row.key for row in ROWS if row.plotted]
    tags = pd.concat([_tag_table(corpus, train, evaluator, name, methods[name]) for name in plotted], ignore_index=True)
    curves = [precision_recall(evaluator.Y_test, methods[name].test).assign(method=name) for name in NAMES]
    return dict(metrics), tags, pd.concat(curves, ignore_index=True)


def _tag_table(
    corpus: Corpus, train: np.ndarray, evaluator: Evaluator, name: str, method: MethodScores
) -> pd.DataFrame:
    f1 = f1_per_tag(evaluator.Y_test, evaluator.decisions(method)["_tuned"])
    support = corpus.Y[train].sum(0)
    return pd.DataFrame({"tag": corpus.tags, "support": support, "f1": f1, "method": name})


def film_map(corpus: Corpus, X: np.ndarray, clusters: np.ndarray, rows: np.ndarray, seed: int) -> pd.DataFrame:
    """Some films in two dimensions (t-SNE of their embeddings), with cluster, title and tags."""
    positions = np.zeros((len(rows), 2))
    if len(np.unique(X[rows], axis=0)) > 1:
        perplexity = min(30.0, max((len(rows) - 1) / 3, 0.5))
        positions = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(X[rows])
    tags = [", ".join(corpus.tags[j] for j in np.flatnonzero(corpus.Y[row])) for row in rows]
    titles = [corpus.titles[row] for row in rows]
    columns = {"x": positions[:, 0], "y": positions[:, 1], "cluster": clusters[rows], "title": titles, "tags": tags}
    return pd.DataFrame(columns)

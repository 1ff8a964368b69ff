"""The tables and plots of an experiment: every method on the same test films."""

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from motags.corpus import Corpus
from motags.metrics import EvaluateParams, Scorer, f1_per_tag, precision_recall

METHODS = ("constant", "tfidf", "bert", "bert_star", "bert_star_cb", "bert_star_clusters", "ours")
COMPARED = ("ours", "bert_star")
PLOTTED = ("tfidf", "bert_star", "ours")

Parts = dict[str, np.ndarray]


def evaluate(
    corpus: Corpus, parts: Parts, scores: dict[str, np.ndarray], params: EvaluateParams, seed: int
) -> tuple[dict[str, object], pd.DataFrame, pd.DataFrame]:
    """Score all methods (paper, Table 3 and the rows that tell its parts apart).

    Args:
        parts: rows of train, validation and test; scores: each method's (n, t) scores of all films.

    Returns:
        The metrics of each method; F1 a tag against its support; precision and recall of each method.
    """
    train, validation, test = (parts[name] for name in ("train", "validation", "test"))
    scorer = Scorer(corpus.Y[train], corpus.Y[validation], corpus.Y[test], params)
    of = {name: (scores[name][validation], scores[name][test]) for name in METHODS}
    metrics: dict[str, dict[str, object]] = {name: dict(scorer.scores(*of[name])) for name in METHODS}
    ours, other = COMPARED
    metrics[ours][f"difference_to_{other}"] = scorer.difference(of[ours], of[other], seed)
    tags = pd.concat([_tag_table(corpus, train, scorer, name, of[name]) for name in PLOTTED], ignore_index=True)
    curves = [precision_recall(scorer.Y_test, of[name][1]).assign(method=name) for name in METHODS]
    return dict(metrics), tags, pd.concat(curves, ignore_index=True)


def _tag_table(
    corpus: Corpus, train: np.ndarray, scorer: Scorer, name: str, scores: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    f1 = f1_per_tag(scorer.Y_test, scorer.decisions(*scores)["_tuned"])
    support = corpus.Y[train].sum(0)
    return pd.DataFrame({"tag": corpus.tags, "support": support, "f1": f1, "method": name})


def film_map(corpus: Corpus, X: np.ndarray, clusters: np.ndarray, rows: np.ndarray, seed: int) -> pd.DataFrame:
    """Some films in two dimensions (t-SNE of their embeddings), with cluster, title and tags."""
    placed = np.zeros((len(rows), 2))
    if len(np.unique(X[rows], axis=0)) > 1:
        perplexity = min(30.0, max((len(rows) - 1) / 3, 0.5))
        placed = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(X[rows])
    tags = [", ".join(corpus.tags[j] for j in np.flatnonzero(corpus.Y[row])) for row in rows]
    titles = [corpus.titles[row] for row in rows]
    columns = {"x": placed[:, 0], "y": placed[:, 1], "cluster": clusters[rows], "title": titles, "tags": tags}
    return pd.DataFrame(columns)

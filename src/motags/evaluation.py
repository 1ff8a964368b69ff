"""The tables and plots of an experiment: every method on the same test films."""

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from motags.corpus import Corpus
from motags.metrics import Answer, EvaluateParams, Scorer, f1_per_tag, precision_recall

METHODS = ("constant", "tfidf", "bert", "bert_star", "bert_star_cb", "bert_star_clusters", "ours", "motags")
COMPARED = {"ours": ["bert_star"], "motags": ["tfidf", "bert_star", "ours"]}
PLOTTED = ("tfidf", "ours", "motags")

Parts = dict[str, np.ndarray]


def evaluate(
    corpus: Corpus, parts: Parts, scores: dict[str, np.ndarray], params: EvaluateParams, seed: int
) -> tuple[dict[str, object], pd.DataFrame, pd.DataFrame]:
    """Score all methods (paper, Table 3 and the rows that tell its parts apart).

    Args:
        parts: rows of train, validation and test; scores: each method's (n, t) scores of all films, and the (t,)
            thresholds of a method that brings its own, as `METHOD_thresholds`.

    Returns:
        The metrics of each method; F1 a tag against its support; precision and recall of each method.
    """
    train, validation, test = (parts[name] for name in ("train", "validation", "test"))
    scorer = Scorer(corpus.Y[train], corpus.Y[validation], corpus.Y[test], params)
    of = {
        name: Answer(scores[name][validation], scores[name][test], scores.get(f"{name}_thresholds")) for name in METHODS
    }
    metrics: dict[str, dict[str, object]] = {name: dict(scorer.scores(of[name])) for name in METHODS}
    for name, others in COMPARED.items():
        for other in others:
            metrics[name][f"difference_to_{other}"] = scorer.difference(of[name], of[other], seed)
    tags = pd.concat([_tag_table(corpus, train, scorer, name, of[name]) for name in PLOTTED], ignore_index=True)
    curves = [precision_recall(scorer.Y_test, of[name].test).assign(method=name) for name in METHODS]
    return dict(metrics), tags, pd.concat(curves, ignore_index=True)


def _tag_table(corpus: Corpus, train: np.ndarray, scorer: Scorer, name: str, answer: Answer) -> pd.DataFrame:
    f1 = f1_per_tag(scorer.Y_test, scorer.decisions(answer)["_tuned"])
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

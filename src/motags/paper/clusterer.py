"""K-Means: which films are alike enough to share a local model."""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from safetensors.numpy import load_file, save_file
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from motags.artifacts import checked, sealing
from motags.params import Params

log = logging.getLogger(__name__)


class ClustererParams(Params):
    """Section `clusterer` of params.yaml."""

    k: Annotated[int, Field(ge=1, le=10_000)]
    min_films: Annotated[int, Field(ge=2)]
    n_init: Annotated[int, Field(ge=1, le=100)]


class Clusterer:
    """K-Means on embeddings; a new film goes to the nearest centroid (paper, section 3).

    A cluster of fewer than `min_films` films can't train a network: its centroid is dropped, and its
    films go to the nearest one left. Where none is left, all films make one cluster.

    Attributes:
        centroids_: (k, d) float32.
        labels_: (n,) int64, the cluster of each film that `fit` saw.
    """

    def __init__(self, k: int, min_films: int = 2, n_init: int = 10, random_state: int = 0) -> None:
        self.k = k
        self.min_films = min_films
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: np.ndarray) -> "Clusterer":
        """Find the centroids of X, (n, d) float32; of fewer than k different rows, as many as there are."""
        k = min(self.k, len(np.unique(X, axis=0)))
        kmeans = KMeans(k, n_init=self.n_init, random_state=self.random_state).fit(X)
        self.centroids_ = kmeans.cluster_centers_.astype(np.float32)
        large = np.bincount(self.predict(X), minlength=k) >= self.min_films
        self.centroids_ = self.centroids_[large] if large.any() else X.mean(0, keepdims=True)
        if len(self.centroids_) < self.k:
            log.warning("%d clusters, not %d: the others would have had too few films", len(self.centroids_), self.k)
        self.labels_ = self.predict(X)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The nearest centroid of each row of X, (n,) int64, by Euclidean distance."""
        return pairwise_distances_argmin(X, self.centroids_)

    def save(self, path: Path) -> None:
        """Write centroids and labels as one sealed safetensors file."""
        with sealing(path) as temporary:
            state = {"centroids": self.centroids_, "labels": self.labels_, "k": np.array([self.k])}
            save_file(state, temporary)

    @classmethod
    def load(cls, path: Path) -> "Clusterer":
        """Read what `save` wrote. Raises MotagsError where it is missing or damaged."""
        state = load_file(checked(path))
        clusterer = cls(k=int(state["k"][0]))
        clusterer.centroids_, clusterer.labels_ = state["centroids"], state["labels"]
        return clusterer


PAPER_TAGS_PER_CLUSTER = 12


def cluster_summary(
    clusterer: Clusterer, clusters: np.ndarray, tags: list[np.ndarray], Y: np.ndarray, parts: dict[str, np.ndarray]
) -> dict[str, object]:
    """Sizes, tags a cluster, and coverage (paper, section 4: about 12 tags a cluster).

    Coverage is the share of true (film, tag) pairs whose tag the film's cluster has: the ceiling of
    the local models' recall.

    Args:
        clusters: (n,) int, of all films; tags: the tag columns of each cluster; Y: (n, t) bool;
        parts: rows of train, validation and test.
    """
    has_tag = np.zeros((len(tags), Y.shape[1]), dtype=bool)  # (k, t)
    for c, columns in enumerate(tags):
        has_tag[c, columns] = True
    sizes = np.bincount(clusters[parts["train"]], minlength=len(tags))
    counts = np.array([len(columns) for columns in tags])
    covered = Y & has_tag[clusters]  # (n, t)
    return {
        "asked_for": clusterer.k,
        "clusters": len(tags),
        "train_films": {"least": sizes.min(), "mean": sizes.mean(), "most": sizes.max()},
        "tags_per_cluster": {
            "least": counts.min(),
            "mean": counts.mean(),
            "most": counts.max(),
            "mean_in_paper": PAPER_TAGS_PER_CLUSTER,
        },
        "coverage": {part: covered[rows].sum() / Y[rows].sum() for part, rows in parts.items()},
    }


def cluster_table(clusters: np.ndarray, tags: list[np.ndarray], names: list[str]) -> pd.DataFrame:
    """Films and tags of each cluster, in long form, with its most frequent tags as a caption."""
    rows = []
    for c, columns in enumerate(tags):
        caption = f"{c}: " + ", ".join(names[tag] for tag in columns[:3])
        rows.append({"cluster": caption, "what": "films", "count": int((clusters == c).sum())})
        rows.append({"cluster": caption, "what": "tags", "count": len(columns)})
    return pd.DataFrame(rows)

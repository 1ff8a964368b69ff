"""A learner that trains in a second, for benchmarks that train hundreds of times: a catalogue, and scores from labels.

Kernel ridge regression on a frozen encoder's embeddings and on TF-IDF of words, for all tags at once; leave-one-out
scores of the films that it learned from come with it in closed form. The ranker that we ship turns them into
calibrated scores; with `names` it also hears how near each text is to the tag's name and description.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from motags.active_learning.suggest import centred
from motags.artifacts import replacing
from motags.evidence.names_training import fit_names
from motags.paper.embedder import encode, pretrained
from motags.tagger import ranker
from peers import Bench

RIDGE = 1.0
STEPS = 100  # of the ranker: the learner's few kinds of evidence need no more


class QuickLearner:
    """The catalogue of a benchmark and the learner on it.

    Attributes:
        centred: (n, d) float32 of unit length, the frozen encoder's embeddings less their mean.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.corpus = corpus = bench.corpus
        self.params = bench.params["tagger"].ranker.model_copy(update={"steps": STEPS})
        films, tags = self._encoded()
        X, T = (centred(E, films.mean(0)) for E in (films, tags))
        self.centred = X
        words = TfidfVectorizer(min_df=2, sublinear_tf=True, strip_accents="unicode", dtype=np.float32)
        W = words.fit_transform(corpus.texts)
        self.kernel = (X @ X.T + (W @ W.T).toarray()) / 2  # (n, n)
        mentions = fit_names(corpus.texts, corpus.tags, bench.descriptions).cosines(corpus.texts)
        self.named = np.concatenate([mentions, (X @ T.T)[:, None]], axis=1).astype(np.float32)  # (n, 3, t)

    def _encoded(self) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of the films and of the tags' names with descriptions, kept in a file."""
        path = self.bench.out / "encoded.npz"
        if not path.exists():
            embedder, tags = self.bench.params["embedder"], self.corpus.tags
            encoder = pretrained(embedder)
            said = [f"{tag}. {text}".strip() for tag, text in zip(tags, self.bench.descriptions, strict=True)]
            films, names = (encode(encoder, texts, embedder) for texts in (self.corpus.texts, said))
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, films=films, tags=names)
        with np.load(path, allow_pickle=False) as kept:
            return kept["films"], kept["tags"]

    def evidence(self, rows: np.ndarray, Y: np.ndarray, *, names: bool) -> np.ndarray:
        """What labels Y (m, t) of some rows say of all films, (n, w, t); of these rows each without its own label."""
        residual = Y - (Y.sum(0) + 0.5) / (len(Y) + 1)
        inverse = np.linalg.inv(self.kernel[np.ix_(rows, rows)].astype(np.float64) + RIDGE * np.eye(len(rows)))
        weights = inverse @ residual
        said = self.kernel[:, rows] @ weights.astype(np.float32)
        said[rows] = residual - weights / np.diag(inverse)[:, None]  # leave-one-out
        return np.concatenate([said[:, None], self.named], axis=1) if names else said[:, None]

    def scores(self, rows: np.ndarray, Y: np.ndarray, seed: int, *, names: bool) -> np.ndarray:
        """Calibrated scores of all films, (n, t) float32, from labels Y (m, t) of some rows."""
        found = self.evidence(rows, Y, names=names)
        return ranker.fit(found[rows], Y, self.params, seed).predict_proba(found)


def learner_of(description: str | None) -> QuickLearner:
    """The learner for the catalogue on the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for embeddings and results")
    arguments = parser.parse_args()
    return QuickLearner(Bench.of_films(arguments.catalogue, arguments.out))

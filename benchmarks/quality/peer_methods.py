"""Peers: other methods for the same tags, each with the settings to tune it over, for a benchmark of quality.

A peer is a function of training films, their labels Y (m, t) bool, new films and a seed; its keyword arguments are
its settings. It returns `Scores` of the new films: scores (n, t) float32 in 0..1, higher is likelier, and what they
cost. `PEERS` names each one and its grid; `sklearn.model_selection.ParameterGrid(grid)` lists the settings.

Where a library has published settings or defaults, those are a peer's defaults. With 100 tags or fewer they build no
tree (omikuji, napkinXC and PECOS split no group of at most 100), hence the smaller groups in the grids.

omikuji, napkinXC, PECOS and SetFit run through xmc_peers.py in `.venv/peers`, which is made on first use.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from motags.evaluation import baselines
from xmc_peers import Fitted, Scores, linear_bytes, scored, vectorizer, vocabulary_bytes

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements-xmc.lock"
ENVIRONMENT = HERE.parents[1] / ".venv" / "peers"
SETTLED = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}  # no hub, no GPU


@dataclass(frozen=True)
class Films:
    """n texts, and X (n, d) float32, a frozen encoder's embeddings of them."""

    texts: list[str]
    X: np.ndarray


class Peer(NamedTuple):
    """A peer, and of each setting the values to try."""

    function: Callable[..., Scores]
    grid: dict[str, list[Any]]


def constant(_train: Films, Y: np.ndarray, new: Films, _seed: int) -> Scores:
    """Each tag's training frequency."""
    return scored(lambda: Fitted(lambda films: baselines.constant(Y, len(films.texts)), 4 * Y.shape[1]), new)


def tfidf(
    train: Films, Y: np.ndarray, new: Films, seed: int, *,
    C: float = 1.0, class_weight: str | None = "balanced", min_df: int = 2,
) -> Scores:  # fmt: skip
    """One logistic regression a tag on TF-IDF of words and pairs of words."""
    return scored(lambda: _fit_tfidf(train, Y, seed, C, class_weight, min_df), new)


def average(
    train: Films, Y: np.ndarray, new: Films, seed: int, *,
    C: float = 1.0, embedding_C: float = 0.01, class_weight: str | None = "balanced", min_df: int = 2,
) -> Scores:  # fmt: skip
    """The mean of the probabilities of `tfidf` and of one logistic regression a tag on the embeddings.

    The embeddings are standardised. Encoding is in no time, the encoder in no size: all have it alike.
    """

    def fit() -> Fitted:
        words = _fit_tfidf(train, Y, seed, C, class_weight, min_df)
        meaning = _fit_embeddings(train, Y, embedding_C, class_weight)
        return Fitted(lambda films: (words.predict(films) + meaning.predict(films)) / 2, words[1] + meaning[1])

    return scored(fit, new)


def knn(train: Films, Y: np.ndarray, new: Films, _seed: int, *, k: int = 20) -> Scores:
    """The share of the k nearest training films' votes for a tag, each vote weighing its cosine."""

    def fit() -> Fitted:
        known = _unit(train.X)

        def predict(films: Films) -> np.ndarray:
            cosine = _unit(films.X) @ known.T  # (n, m)
            near = np.argpartition(-cosine, min(k, len(known)) - 1, axis=1)[:, :k]  # (n, k)
            weight = np.maximum(np.take_along_axis(cosine, near, axis=1), np.finfo(np.float32).tiny)
            votes = np.einsum("nk,nkt->nt", weight, Y[near].astype(np.float32))
            return votes / weight.sum(1, keepdims=True)

        return Fitted(predict, known.nbytes + Y.nbytes)

    return scored(fit, new)


def omikuji_parabel(
    train: Films, Y: np.ndarray, new: Films, seed: int, *,
    loss: str = "hinge", C: float = 1.0, min_branch_size: int = 100, min_df: int = 2,
) -> Scores:  # fmt: skip
    """Parabel (Prabhu et al. 2018): three balanced binary trees; omikuji's defaults."""
    tree = {"balanced": True, "k": 2, "max_depth": 20, "min_branch_size": min_branch_size}
    return _outside("omikuji", train, Y, new, seed, loss=loss, C=C, min_df=min_df, **tree)


def omikuji_bonsai(
    train: Films, Y: np.ndarray, new: Films, seed: int, *,
    loss: str = "hinge", C: float = 1.0, k: int = 100, min_df: int = 2,
) -> Scores:  # fmt: skip
    """Bonsai (Khandagale et al. 2019): three shallow trees of plain k-means; k=100, depth 3 as omikuji's README.

    No group of fewer than k tags is split.
    """
    tree = {"balanced": False, "k": k, "max_depth": 3, "min_branch_size": k}
    return _outside("omikuji", train, Y, new, seed, loss=loss, C=C, min_df=min_df, **tree)


def napkinxc(
    train: Films, Y: np.ndarray, new: Films, seed: int, *,
    loss: str = "log", C: float = 10.0, arity: int = 2, max_leaves: int = 100, min_df: int = 2,
) -> Scores:  # fmt: skip
    """A probabilistic label tree (Jasinska-Kobus et al. 2020); napkinXC's defaults."""
    tree = {"arity": arity, "max_leaves": max_leaves}
    return _outside("napkinxc", train, Y, new, seed, loss=loss, C=C, min_df=min_df, **tree)


def xrlinear(
    train: Films, Y: np.ndarray, new: Films, seed: int, *,
    C: float = 1.0, nr_splits: int = 16, max_leaf_size: int = 100, min_df: int = 2,
) -> Scores:  # fmt: skip
    """XR-Linear (Yu et al. 2022); PECOS's defaults."""
    tree = {"nr_splits": nr_splits, "max_leaf_size": max_leaf_size}
    return _outside("pecos", train, Y, new, seed, C=C, min_df=min_df, **tree)


def setfit(
    train: Films, Y: np.ndarray, new: Films, seed: int, *,
    steps: int = 200, body_learning_rate: float = 2e-5, C: float = 1.0,
) -> Scores:  # fmt: skip
    """SetFit (Tunstall et al. 2022) on all-MiniLM-L6-v2, one regression a tag.

    SetFit's defaults but for the pairs: 16 a step, so 3,200 by default. All pairs, or its 20 a film and
    kind, take a processor hours. The size is that of the tuned encoder and the regressions.
    """
    settings = {"steps": steps, "body_learning_rate": body_learning_rate, "C": C}
    return _outside("setfit", train, Y, new, seed, **settings)


WEIGHTS = [None, "balanced"]
PEERS = {
    "constant": Peer(constant, {}),
    "tfidf": Peer(tfidf, {"C": [1.0, 4.0, 16.0], "class_weight": WEIGHTS}),
    "average": Peer(average, {"C": [4.0], "embedding_C": [0.003, 0.03], "class_weight": WEIGHTS}),
    "knn": Peer(knn, {"k": [5, 10, 20, 50, 100]}),
    "omikuji_parabel": Peer(
        omikuji_parabel, {"loss": ["hinge", "log"], "C": [1.0, 10.0], "min_branch_size": [10, 100]}
    ),
    "omikuji_bonsai": Peer(omikuji_bonsai, {"loss": ["hinge", "log"], "C": [1.0, 10.0], "k": [10, 100]}),
    "napkinxc": Peer(napkinxc, {"loss": ["log", "l2"], "C": [1.0, 10.0], "max_leaves": [10, 100]}),
    "xrlinear": Peer(xrlinear, {"C": [0.3, 1.0, 3.0], "max_leaf_size": [10, 100]}),
    "setfit": Peer(setfit, {}),
}


def peers_python() -> Path:
    """The Python of the peers' own environment, which is made anew whenever the lock file has changed."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / LOCK.name
    if not stamp.exists() or stamp.read_text() != LOCK.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        install = ["pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(LOCK)]
        subprocess.run([python, "-m", *install], check=True)
        stamp.write_text(LOCK.read_text())
    return python


def _outside(method: str, train: Films, Y: np.ndarray, new: Films, seed: int, **settings: Any) -> Scores:
    """Run a method of xmc_peers.py in the peers' own environment."""
    tags = [np.flatnonzero(y).tolist() for y in Y]
    job = {"texts": train.texts, "tags": tags, "t": Y.shape[1], "new": new.texts, "seed": seed, "settings": settings}
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "job.json", Path(folder) / "scores.npz"
        given.write_text(json.dumps(job))
        command = [str(part) for part in (peers_python(), "-I", HERE / "xmc_peers.py", method, given, result)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | SETTLED, check=False)
        if done.returncode:
            raise RuntimeError(f"{method} with {settings} failed ({done.returncode}):\n{done.stderr[-2000:]}")
        with np.load(result) as arrays:
            return Scores(arrays["scores"], *(arrays[name].item() for name in Scores._fields[1:]))


def _fit_tfidf(train: Films, Y: np.ndarray, seed: int, C: float, class_weight: str | None, min_df: int) -> Fitted:
    words = vectorizer(min_df)
    regression = LogisticRegression(C=C, class_weight=class_weight, solver="liblinear", random_state=seed)
    model = OneVsRestClassifier(regression).fit(words.fit_transform(train.texts), Y)
    size = vocabulary_bytes(words) + linear_bytes(model.estimators_)
    return Fitted(lambda films: _probabilities(model, words.transform(films.texts)), size)


def _fit_embeddings(train: Films, Y: np.ndarray, C: float, class_weight: str | None) -> Fitted:
    scaler = StandardScaler()
    regression = LogisticRegression(C=C, class_weight=class_weight, max_iter=1000)
    model = OneVsRestClassifier(regression).fit(scaler.fit_transform(train.X), Y)
    size = scaler.mean_.nbytes + scaler.scale_.nbytes + linear_bytes(model.estimators_)
    return Fitted(lambda films: _probabilities(model, scaler.transform(films.X)), size)


def _probabilities(model: OneVsRestClassifier, X: Any) -> np.ndarray:
    return model.predict_proba(X)[:, -len(model.estimators_) :]  # of a single tag it gives both sides


def _unit(X: np.ndarray) -> np.ndarray:
    return X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(np.float32).tiny)

"""Training of `words`: a regression a tag on TF-IDF, by scikit-learn."""

from collections.abc import Sequence
from typing import Annotated

import joblib
import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from motags.errors import MotagsError
from motags.evidence.sparse import SparseRows
from motags.evidence.tfidf import Tfidf
from motags.evidence.words import Words
from motags.params import Params

MOST_FILMS = 20_000  # of a tag's regression that do not bear it; more change little and cost much
MOST_PAIRS = 20_000_000  # such (film, tag) pairs of all tags together; at least LEAST_FILMS a tag
LEAST_FILMS = 2_000
MOST_RUNS = 500_000  # of words, the most frequent ones
MOST_COEFFICIENTS = 50_000_000  # kept of all tags: of more, each tag keeps its largest KEPT
KEPT = 4_000


class WordsParams(Params):
    """Section `tfidf` of params.yaml, and `tagger.words`."""

    max_ngram: Annotated[int, Field(ge=1, le=5)]
    min_df: Annotated[int, Field(ge=1)]
    C: Annotated[float, Field(gt=0)]


def vectorizer(params: WordsParams) -> TfidfVectorizer:
    """TF-IDF of runs of words, frequencies by their logarithm."""
    return TfidfVectorizer(
        ngram_range=(1, params.max_ngram), min_df=params.min_df, max_features=MOST_RUNS, sublinear_tf=True,
        strip_accents="unicode",
    )  # fmt: skip


def fit_vectorizer(texts: list[str], params: WordsParams, section: str) -> tuple[TfidfVectorizer, csr_matrix]:
    """A vectorizer, and what it says of the n texts that it learned from, (n, v).

    Args:
        section: of params.yaml, where `params` are from.

    Raises:
        MotagsError: no word is frequent enough.
    """
    tfidf = vectorizer(params)
    try:
        X = tfidf.fit_transform(texts)
    except ValueError as error:
        raise MotagsError(
            f"no word stands in {params.min_df} of {len(texts)} training films: give more films, or lower "
            f"{section}.min_df"
        ) from error
    X.sum_duplicates()  # else the first use of X sorts it in place, and threads that share it damage it
    return tfidf, X


def regression(params: WordsParams, seed: int) -> LogisticRegression:
    """Logistic regression of one tag, classes weighted to balance."""
    return LogisticRegression(C=params.C, class_weight="balanced", solver="liblinear", random_state=seed)


def fit_words(texts: list[str], Y: np.ndarray, params: WordsParams, seed: int) -> Words:
    """Learn from n texts and Y (n, t) bool; a tag that all or no texts bear gets a constant.

    Raises:
        MotagsError: no word is frequent enough.
    """
    tfidf, X = fit_vectorizer(texts, params, "tagger.words")
    v, t = X.shape[1], Y.shape[1]
    kept_runs = v if v * t <= MOST_COEFFICIENTS else min(KEPT, v)
    without = min(MOST_FILMS, max(MOST_PAIRS // t, LEAST_FILMS))
    one = joblib.delayed(_fit_tag)
    work = joblib.Parallel(n_jobs=torch.get_num_threads(), prefer="threads")
    fitted = work(one(X, y, params, seed + j, without, kept_runs) for j, y in enumerate(Y.T))
    runs, values, intercepts = zip(*fitted, strict=True)
    coef = _dense(runs, values, v) if kept_runs == v else _sparse(runs, values, v)
    return Words(kept_tfidf(tfidf, params.max_ngram), coef, np.array(intercepts, dtype=np.float32))


def _fit_tag(
    X: csr_matrix, y: np.ndarray, params: WordsParams, seed: int, most_without: int, kept_runs: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of one tag the runs that are kept, (z,) int32, their coefficients (z,) float32, and the intercept."""
    if y.all() or not y.any():
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32), 1.0 if y.all() else -1.0
    runs = np.arange(X.shape[1], dtype=np.int32)
    if len(y) - y.sum() > most_without:
        X, y, runs = _drawn(X, y, seed, most_without)
    model = regression(params, seed).fit(X, y)
    values = model.coef_[0].astype(np.float32)
    if len(values) > kept_runs:
        largest = np.sort(np.argpartition(-np.abs(values), kept_runs)[:kept_runs])
        runs, values = runs[largest], values[largest]
    return runs, values, float(model.intercept_[0])


def _drawn(X: csr_matrix, y: np.ndarray, seed: int, most_without: int) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """The films that bear the tag and some that do not, and the runs that they have: others would get no weight."""
    without = np.random.default_rng(seed).choice(np.flatnonzero(~y), most_without, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(y), without]))
    own = X[rows]
    runs, places = np.unique(own.indices, return_inverse=True)
    return csr_matrix((own.data, places.astype(np.int32), own.indptr), (len(rows), len(runs))), y[rows], runs


def _dense(runs: Sequence[np.ndarray], values: Sequence[np.ndarray], v: int) -> np.ndarray:
    coef = np.zeros((v, len(runs)), dtype=np.float32)
    for tag, (own, weights) in enumerate(zip(runs, values, strict=True)):
        coef[own, tag] = weights
    return coef


def _sparse(runs: Sequence[np.ndarray], values: Sequence[np.ndarray], v: int) -> SparseRows:
    tags = np.repeat(np.arange(len(runs), dtype=np.int32), [len(own) for own in runs])
    return SparseRows.of_places(np.concatenate(runs), tags, np.concatenate(values), (v, len(runs)))


def kept_tfidf(fitted: TfidfVectorizer, max_words: int) -> Tfidf:
    """The TF-IDF of tagging, from a fitted vectorizer."""
    return Tfidf([str(run) for run in fitted.get_feature_names_out()], fitted.idf_, max_words)

"""Training of what `words` says: regressions on TF-IDF by scikit-learn, and the letters of tags' names."""

from typing import Annotated

import joblib
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from motags.errors import MotagsError
from motags.tfidf import LETTERS, Tfidf
from motags.words import Mentions, Words

MOST_FILMS = 20_000  # of a tag's regression that do not bear it; more change little and cost much
MOST_LETTER_RUNS = 50_000


class WordsParams(BaseModel):
    """Section `baselines` of params.yaml, and `tagger.words`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_ngram: Annotated[int, Field(ge=1, le=5)]
    min_df: Annotated[int, Field(ge=1)]
    C: Annotated[float, Field(gt=0)]


def vectorizer(params: WordsParams) -> TfidfVectorizer:
    """TF-IDF of runs of words, frequencies by their logarithm."""
    return TfidfVectorizer(
        ngram_range=(1, params.max_ngram), min_df=params.min_df, sublinear_tf=True, strip_accents="unicode"
    )


def regression(params: WordsParams, seed: int) -> LogisticRegression:
    """Logistic regression of one tag, classes weighted to balance."""
    return LogisticRegression(C=params.C, class_weight="balanced", solver="liblinear", random_state=seed)


def fit_words(texts: list[str], Y: np.ndarray, params: WordsParams, seed: int) -> Words:
    """Learn from n texts and Y (n, t) bool; a tag that all or no texts bear gets a constant.

    Raises:
        MotagsError: no word is frequent enough.
    """
    tfidf = vectorizer(params)
    try:
        X = tfidf.fit_transform(texts)
    except ValueError as error:
        raise MotagsError(
            f"no word stands in {params.min_df} of {len(texts)} training films: give more films, or lower "
            "tagger.words.min_df"
        ) from error
    one = joblib.delayed(_fit_tag)
    work = joblib.Parallel(n_jobs=torch.get_num_threads(), prefer="threads")
    fitted = work(one(X, y, params, seed + j) for j, y in enumerate(Y.T))
    coef = np.stack([coef for coef, _ in fitted], axis=1)
    intercept = np.array([intercept for _, intercept in fitted], dtype=np.float32)
    return Words(_kept(tfidf, params.max_ngram), coef, intercept)


def _fit_tag(X: csr_matrix, y: np.ndarray, params: WordsParams, seed: int) -> tuple[np.ndarray, float]:
    if y.all() or not y.any():
        return np.zeros(X.shape[1], dtype=np.float32), 1.0 if y.all() else -1.0
    without = np.flatnonzero(~y)
    if len(without) > MOST_FILMS:
        without = np.random.default_rng(seed).choice(without, MOST_FILMS, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(y), without]))
    model = regression(params, seed).fit(X[rows], y[rows])
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])


def fit_mentions(texts: list[str], names: list[str], descriptions: list[str]) -> Mentions:
    """Weigh the runs of letters by how many texts have them; a tag without description has an empty one."""
    tfidf = TfidfVectorizer(
        analyzer="char_wb", ngram_range=LETTERS, sublinear_tf=True, strip_accents="unicode", dtype=np.float32,
        max_features=MOST_LETTER_RUNS,
    )  # fmt: skip
    return Mentions(_kept(tfidf.fit([*texts, *names]), 0), names, descriptions)


def _kept(fitted: TfidfVectorizer, max_words: int) -> Tfidf:
    return Tfidf([str(run) for run in fitted.get_feature_names_out()], fitted.idf_, max_words)

"""Training of `words`: a regression a tag on TF-IDF, by scikit-learn."""

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from motags.errors import MotagsError
from motags.evidence.regressions_training import fit_regressions
from motags.evidence.tfidf import Tfidf
from motags.evidence.words import Words
from motags.params import Params

MOST_RUNS = 500_000  # of words, the most frequent ones


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


def fit_words(texts: list[str], Y: np.ndarray, params: WordsParams, seed: int) -> Words:
    """Learn from n texts and Y (n, t) bool; a tag that all or no texts bear gets a constant.

    Raises:
        MotagsError: no word is frequent enough.
    """
    tfidf, X = fit_vectorizer(texts, params, "tagger.words")
    return Words(kept_tfidf(tfidf, params.max_ngram), fit_regressions(X, Y, params.C, seed))


def kept_tfidf(fitted: TfidfVectorizer, max_words: int) -> Tfidf:
    """The TF-IDF of tagging, from a fitted vectorizer."""
    return Tfidf([str(run) for run in fitted.get_feature_names_out()], fitted.idf_, max_words)

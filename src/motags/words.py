"""What the words of a text say for each tag: a regression on TF-IDF, and how much a text speaks of a tag by name."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import joblib
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from motags.errors import MotagsError

MOST_FILMS = 20_000  # of a tag's regression that do not bear it; more change little and cost much
LETTERS: dict[str, Any] = {
    "analyzer": "char_wb",
    "ngram_range": (3, 5),
    "sublinear_tf": True,
    "strip_accents": "unicode",
    "dtype": np.float32,
}


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


class Words:
    """One logistic regression a tag on TF-IDF.

    Attributes:
        vectorizer_: its vocabulary has v runs of words.
        coef_: (v, t) float32; intercept_: (t,) float32.
    """

    def __init__(self, params: WordsParams, random_state: int) -> None:
        self.params = params
        self.random_state = random_state

    def fit(self, texts: list[str], Y: np.ndarray) -> Self:
        """Learn from n texts and Y (n, t) bool; a tag that all or no texts bear gets a constant.

        Raises:
            MotagsError: no word is frequent enough.
        """
        self.vectorizer_ = vectorizer(self.params)
        try:
            X = self.vectorizer_.fit_transform(texts)
        except ValueError as error:
            raise MotagsError(
                f"no word stands in {self.params.min_df} of {len(texts)} training films: give more films, or lower "
                "tagger.words.min_df"
            ) from error
        one = joblib.delayed(self._fit_tag)
        work = joblib.Parallel(n_jobs=torch.get_num_threads(), prefer="threads")
        fitted = work(one(X, y, self.random_state + j) for j, y in enumerate(Y.T))
        self.coef_ = np.stack([coef for coef, _ in fitted], axis=1)
        self.intercept_ = np.array([intercept for _, intercept in fitted], dtype=np.float32)
        return self

    def _fit_tag(self, X: csr_matrix, y: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
        if y.all() or not y.any():
            return np.zeros(X.shape[1], dtype=np.float32), 1.0 if y.all() else -1.0
        without = np.flatnonzero(~y)
        if len(without) > MOST_FILMS:
            without = np.random.default_rng(seed).choice(without, MOST_FILMS, replace=False)
        rows = np.sort(np.concatenate([np.flatnonzero(y), without]))
        model = regression(self.params, seed).fit(X[rows], y[rows])
        return model.coef_[0].astype(np.float32), float(model.intercept_[0])

    def logits(self, texts: list[str]) -> np.ndarray:
        """Logits (n, t) float32."""
        return (self.vectorizer_.transform(texts) @ self.coef_ + self.intercept_).astype(np.float32)

    def state(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """What was learned, as arrays, and the vocabulary in the order of their rows."""
        arrays = {"idf": self.vectorizer_.idf_, "coef": self.coef_, "intercept": self.intercept_}
        return arrays, list(self.vectorizer_.get_feature_names_out())

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], vocabulary: list[str], params: WordsParams) -> Self:
        """The model whose `state` was kept."""
        words = cls(params, random_state=0)
        words.vectorizer_ = vectorizer(params).set_params(vocabulary=vocabulary)
        words.vectorizer_.idf_ = arrays["idf"]
        words.coef_, words.intercept_ = arrays["coef"], arrays["intercept"]
        return words


class Mentions:
    """How much a text speaks of each tag: the cosine of its letters with the tag's name, and with its description.

    Runs of 3 to 5 letters within words, weighted by TF-IDF, so that "kidnapped" speaks of "kidnapping".

    Attributes:
        vectorizer_: its vocabulary has v runs of letters.
        names_, descriptions_: (v, t) float32, sparse.
    """

    def fit(self, texts: list[str], names: list[str], descriptions: list[str]) -> Self:
        """Weigh the runs of letters by how many texts have them; a tag without description has an empty one."""
        self.vectorizer_ = TfidfVectorizer(**LETTERS, max_features=50_000).fit([*texts, *names])
        return self._about(names, descriptions)

    def _about(self, names: list[str], descriptions: list[str]) -> Self:
        self.names_, self.descriptions_ = (self.vectorizer_.transform(said).T.tocsr() for said in (names, descriptions))
        return self

    def state(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """What was learned, as arrays, and the vocabulary in their order."""
        return {"idf": self.vectorizer_.idf_}, list(self.vectorizer_.get_feature_names_out())

    @classmethod
    def restored(
        cls, arrays: Mapping[str, np.ndarray], vocabulary: list[str], names: list[str], descriptions: list[str]
    ) -> Self:
        """The model whose `state` was kept, for the same tags."""
        mentions = cls()
        mentions.vectorizer_ = TfidfVectorizer(**LETTERS, vocabulary=vocabulary)
        mentions.vectorizer_.idf_ = arrays["idf"]
        return mentions._about(names, descriptions)

    def cosines(self, texts: list[str]) -> np.ndarray:
        """Cosines (n, 2, t) float32, with the names and with the descriptions."""
        X = self.vectorizer_.transform(texts)
        return np.stack([(X @ self.names_).toarray(), (X @ self.descriptions_).toarray()], axis=1)

"""TF-IDF as scikit-learn computes it, with numpy alone: what tags films needs no more."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

import numpy as np

WORD = re.compile(r"\b\w\w+\b")
LETTERS = (3, 5)  # shortest and longest run of letters


class Tfidf:
    """Weights a text's runs of words, or of letters, by TF-IDF.

    The same numbers as scikit-learn's TfidfVectorizer with `sublinear_tf` and `strip_accents="unicode"`, which finds
    vocabulary and idf.

    Args:
        vocabulary: the v runs, in the order of idf.
        idf: (v,) float.
        max_words: longest run of words; 0 for runs of 3 to 5 letters within words.
    """

    def __init__(self, vocabulary: list[str], idf: np.ndarray, max_words: int) -> None:
        self.vocabulary = vocabulary
        self.idf = np.asarray(idf, dtype=np.float64)
        self.max_words = max_words
        self._place = {run: place for place, run in enumerate(vocabulary)}

    def weigh(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The places of a text's runs in the vocabulary, (r,) int64, and their weights, (r,) float64 of length 1."""
        plain = _plain(text)
        runs = _word_runs(plain, self.max_words) if self.max_words else _letter_runs(plain)
        counts = Counter(place for run in runs if (place := self._place.get(run)) is not None)
        places = np.fromiter(counts, dtype=np.int64, count=len(counts))
        weights = (1 + np.log(np.fromiter(counts.values(), dtype=np.float64, count=len(counts)))) * self.idf[places]
        length = np.sqrt(weights @ weights)
        return places, weights / length if length else weights


def _plain(text: str) -> str:
    """Lower case without accents."""
    lower = text.lower()
    if lower.isascii():
        return lower
    return "".join(letter for letter in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(letter))


def _word_runs(text: str, longest: int) -> Iterator[str]:
    words = WORD.findall(text)
    for n in range(1, longest + 1):
        for first in range(len(words) - n + 1):
            yield " ".join(words[first : first + n])


def _letter_runs(text: str) -> Iterator[str]:
    """Runs within each word, a space on either side of it; a word that is shorter than a run is one itself, once."""
    for word in text.split():
        padded = f" {word} "
        for n in range(LETTERS[0], LETTERS[1] + 1):
            if len(padded) <= n:
                yield padded
                break
            for first in range(len(padded) - n + 1):
                yield padded[first : first + n]

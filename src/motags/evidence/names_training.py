"""Training of `names`: how telling each run of letters is."""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from motags.evidence.names import Names
from motags.evidence.tfidf import LETTERS
from motags.evidence.words_training import kept_tfidf

MOST_LETTER_RUNS = 50_000
MOST_SPELT = 20_000  # texts whose runs of letters are counted


def fit_names(texts: list[str], names: list[str], descriptions: list[str], seed: int = 0) -> Names:
    """Weigh the runs of letters by how many texts have them; a tag without description has an empty one."""
    tfidf = TfidfVectorizer(
        analyzer="char_wb", ngram_range=LETTERS, sublinear_tf=True, strip_accents="unicode", dtype=np.float32,
        max_features=MOST_LETTER_RUNS,
    )  # fmt: skip
    if len(texts) > MOST_SPELT:
        texts = [texts[row] for row in np.random.default_rng(seed).choice(len(texts), MOST_SPELT, replace=False)]
    return Names(kept_tfidf(tfidf.fit([*texts, *names]), 0), names, descriptions)

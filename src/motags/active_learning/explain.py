"""Why a text gets a tag: the words that carry it, the training films like it that bear it, its cluster."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motags.errors import MotagsError
from motags.tagger.model import Model

WORD = re.compile(r"\w[\w'\u2019-]*")
SPANS = 64  # parts of a text that are left out in turn, at most: a long text's parts are runs of words


@dataclass(frozen=True)
class Explanation:
    """Why a text gets a tag.

    Attributes:
        tag, score, threshold: the tag, its score, and the score from which it is given.
        words: (start, end, weight) of parts of the text, in order: by how much the tag's log odds fall without the
            part; below zero, the part speaks against the tag.
        films: (id, title, similarity) of the nearest training films that bear the tag, nearest first; the cosine.
        cluster: of the text; cluster_tags: the most typical tags of its training films.
    """

    tag: str
    score: float
    threshold: float
    words: list[tuple[int, int, float]]
    films: list[tuple[str, str, float]]
    cluster: int
    cluster_tags: list[str]


def explain(model: Model, text: str, tags: Sequence[str], neighbours: int = 5, film: str = "") -> list[Explanation]:
    """Explain some tags of one text by occlusion (Zeiler and Fergus 2014, section 4.2): each word is left out in turn.

    Args:
        neighbours: training films to name, at most; film: id of the one whose text it is, which is not named.

    Raises:
        MotagsError: the tagger does not know a tag.
    """
    if unknown := [tag for tag in tags if tag not in model.tags_]:
        raise MotagsError(
            f"{unknown[0]!r} is not one of the model's {len(model.tags_)} tags: its tagger.json names them"
        )
    spans = _spans(text)
    scored = model.score([text, *(text[:start] + text[end:] for start, end in spans)])
    cluster = int(scored.clusters[0])
    typical_tags = cluster_tags(model, cluster)
    explanations = []
    for j in map(model.tags_.index, tags):
        p = np.clip(scored.scores[:, j].astype(np.float64), 1e-9, 1 - 1e-9)
        odds = np.log(p) - np.log1p(-p)
        words = [(start, end, float(odds[0] - without)) for (start, end), without in zip(spans, odds[1:], strict=True)]
        films = _neighbours(model, scored.embeddings[0], j, neighbours, film)
        score, threshold = float(scored.scores[0, j]), float(model.thresholds_[j])
        explanations.append(Explanation(model.tags_[j], score, threshold, words, films, cluster, typical_tags))
    return explanations


def _spans(text: str) -> list[tuple[int, int]]:
    """The words of a text, or runs of words where they are many."""
    words = [match.span() for match in WORD.finditer(text)]
    runs = np.array_split(np.arange(len(words)), min(len(words), SPANS)) if words else []
    return [(words[run[0]][0], words[run[-1]][1]) for run in runs]


def _neighbours(model: Model, embedding: np.ndarray, j: int, count: int, film: str) -> list[tuple[str, str, float]]:
    films = model.films_
    rows = np.flatnonzero(films.Y[:, j])
    if (film_row := films.row(film, embedding)) is not None:
        rows = rows[rows != film_row]
    cosines = films.embeddings[rows] @ embedding
    best = np.argsort(-cosines, kind="stable")[:count]
    return [(films.ids[i], films.titles[i], float(cosine)) for i, cosine in zip(rows[best], cosines[best], strict=True)]


def cluster_tags(model: Model, cluster: int, count: int = 3) -> list[str]:
    """The tags that the training films of a cluster bear oftener than all do, most typical first."""
    films = model.films_
    members = model.clusters(films.embeddings) == cluster
    if not members.any():
        return []
    share, everywhere = films.Y[members].mean(0), films.Y.mean(0)
    excess = share - everywhere
    return [model.tags_[j] for j in np.argsort(-excess, kind="stable")[:count] if excess[j] > 0]

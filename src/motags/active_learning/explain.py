"""Why a film gets a tag: what evidence carries it, which words and facts, like training films, its cluster."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from motags.errors import MotagsError
from motags.films.text import Entry
from motags.tagger.checks import entries_of
from motags.tagger.model import Model

WORD = re.compile(r"\w[\w'\u2019-]*")
SPANS = 64  # parts of a text that are left out in turn, at most: a long text's parts are runs of words
ROLES = {
    "directors": "director", "writers": "writer", "cast": "cast", "companies": "company", "countries": "country",
    "languages": "language",
}  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """Why a film gets a tag.

    A weight is by how much the tag's log odds fall without a part; below zero, the part speaks against the tag.

    Attributes:
        tag, score, threshold: the tag, its score, and the score from which it is given.
        sources: (name, weight) of each kind of evidence that is known of the film: text, facts, poster and so on.
        words: (start, end, weight) of parts of the text, in order.
        facts: (fact, weight), as "director Ridley Scott", the strongest first.
        films: (id, title, similarity) of the nearest training films that bear the tag, nearest first; the cosine.
        cluster: of the text, -1 where there is none; cluster_tags: the most typical tags of its training films.
    """

    tag: str
    score: float
    threshold: float
    sources: list[tuple[str, float]]
    words: list[tuple[int, int, float]]
    facts: list[tuple[str, float]]
    films: list[tuple[str, str, float]]
    cluster: int
    cluster_tags: list[str]


def explain(model: Model, film: Any, tags: Sequence[str], neighbours: int = 5) -> list[Explanation]:
    """Explain some tags of one film by occlusion (Zeiler and Fergus 2014, section 4.2): each part is left out in turn.

    Args:
        film: a text, or a film; see `checks.entries_of`.
        neighbours: training films to name, at most; the film itself is none of them.

    Raises:
        MotagsError: the tagger does not know a tag, or the film can't be read.
    """
    if unknown := [tag for tag in tags if tag not in model.tags_]:
        raise MotagsError(
            f"{unknown[0]!r} is not one of the model's {len(model.tags_)} tags: its tagger.json names them"
        )
    film = model.looked_at(entries_of([film], model.text_rules_))[0]
    spans, facts = _spans(film.text), list(_facts(film))
    without = [replace(film, text=film.text[:start] + film.text[end:]) for start, end in spans]
    values, embeddings = model.evidence([film, *without, *(less for _, less in facts)])
    sources, silenced = _silenced(model, values[0])
    scores = model.ranker_.predict_proba(np.concatenate([values, silenced]))
    inside = np.clip(scores.astype(np.float64), 1e-9, 1 - 1e-9)
    odds = np.log(inside) - np.log1p(-inside)
    falls = odds[0] - odds[1:]  # (parts, t)
    of_words, of_facts, of_sources = np.split(falls, np.cumsum([len(spans), len(facts)]))
    cluster = int(model.clusters(embeddings[:1])[0]) if film.text else -1
    typical_tags = cluster_tags(model, cluster)
    return [
        Explanation(
            model.tags_[j], float(scores[0, j]), float(model.thresholds_[j]),
            [(name, float(fall)) for name, fall in zip(sources, of_sources[:, j], strict=True)],
            [(start, end, float(fall)) for (start, end), fall in zip(spans, of_words[:, j], strict=True)],
            _strongest([(fact, float(fall)) for (fact, _), fall in zip(facts, of_facts[:, j], strict=True)]),
            _neighbours(model, embeddings[0], j, neighbours, film.id), cluster, typical_tags,
        )
        for j in map(model.tags_.index, tags)
    ]  # fmt: skip


def _silenced(model: Model, values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Of one film's evidence (w, t) the sources that are known, and the evidence without each, (k, w, t)."""
    of_row = np.array(model.sources_)
    known = ~np.isnan(values).all(1)
    sources = list(dict.fromkeys(of_row[known].tolist()))
    without = [np.where((of_row == source)[:, None], np.nan, values).astype(np.float32) for source in sources]
    return sources, np.stack(without) if without else np.empty((0, *values.shape), np.float32)


def _facts(film: Entry) -> Iterator[tuple[str, Entry]]:
    """Each fact of a film, and the film without it."""
    for column, names in film.lists.items():
        for name in names:
            others = tuple(other for other in names if other != name)
            yield f"{ROLES[column]} {name}", replace(film, lists={**film.lists, column: others})
    if film.year:
        yield f"year {film.year}", replace(film, year=None)
    if film.runtime:
        yield f"{film.runtime} minutes", replace(film, runtime=None)


def _strongest(facts: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(facts, key=lambda fact: -abs(fact[1]))


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
    if cluster < 0:
        return []
    members = model.clusters(films.embeddings) == cluster
    if not members.any():
        return []
    share, everywhere = films.Y[members].mean(0), films.Y.mean(0)
    excess = share - everywhere
    return [model.tags_[j] for j in np.argsort(-excess, kind="stable")[:count] if excess[j] > 0]

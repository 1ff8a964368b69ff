"""Facts: what people, companies, places, year and runtime of a film say for each tag."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from motags.evidence.regressions import Regressions
from motags.evidence.sparse import SparseRows
from motags.films.text import Entry

GROUPS = ("people", "companies", "circumstances")  # that naive Bayes keeps apart
QUARTER, LONGEST = 15, 210  # minutes of a class of runtimes, and from which on all are one


class Facts:
    """A regression a tag on all facts, and naive Bayes a group of them.

    Naive Bayes adds up over the facts f of a film ln(P(tag | f) / P(tag)), where P(tag | f) = (c + s p) / (n + s): of n
    training films with the fact c bear the tag, p is the share of all films that bear it, and s films hold back.

    Args:
        names: v facts as `facts_of` names them.
        idf: (v,) float64, how telling each is; regressions: on these v features, a film's of unit length.
        ratios: (v, t), ln(1 + c / (s p)), most of them 0; films: (v,) float32, n of each; shrinkage: s.
    """

    source, rows = "facts", 1 + len(GROUPS)

    def __init__(
        self, names: list[str], idf: np.ndarray, regressions: Regressions, ratios: SparseRows, films: np.ndarray,
        shrinkage: float,
    ) -> None:  # fmt: skip
        self.names, self.idf, self.regressions = names, idf, regressions
        self.ratios, self.films, self.shrinkage = ratios, films, shrinkage
        self._place = {name: place for place, name in enumerate(names)}

    def evidence(self, films: Sequence[Entry]) -> np.ndarray:
        """Of n films the logits of the regressions and the sums of naive Bayes a group, (n, 4, t) float32.

        NaN where a film has no fact (of the group) that training films have.
        """
        values = np.full((len(films), self.rows, len(self.regressions.intercept)), np.nan, dtype=np.float32)
        for row, film in enumerate(films):
            groups = [self.places(names) for names in facts_of(film).values()]
            places = np.concatenate(groups)
            if not len(places):
                continue
            values[row, 0] = self.regressions.logits(places, unit(self.idf[places]))
            for number, own in enumerate(groups, start=1):
                if len(own):
                    values[row, number] = self.ratios.combined(own, np.ones(len(own))) - self._held_back(own)
        return values

    def places(self, names: Sequence[str]) -> np.ndarray:
        """Where facts stand among those of training films, (r,) int64; others are left out."""
        return np.array([place for name in names if (place := self._place.get(name)) is not None], dtype=np.int64)

    def _held_back(self, places: np.ndarray) -> float:
        return float(np.log1p(self.films[places] / self.shrinkage).sum())

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """What was learned, as arrays, and the facts in the order of their rows."""
        regressions = {f"regressions.{name}": array for name, array in self.regressions.state().items()}
        ratios = {f"ratios.{name}": array for name, array in self.ratios.state().items()}
        own = {"idf": self.idf, "films": self.films, "shrinkage": np.array([self.shrinkage])}
        return own | regressions | ratios, {"names": self.names}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], texts: Mapping[str, list[str]]) -> Self:
        """The model whose `state` was kept."""
        parts: dict[str, dict[str, np.ndarray]] = {"regressions": {}, "ratios": {}}
        for name, array in arrays.items():
            part, _, own = name.partition(".")
            if own:
                parts[part][own] = array
        regressions = Regressions.restored(parts["regressions"])
        ratios = SparseRows.restored(parts["ratios"], len(regressions.intercept))
        return cls(texts["names"], arrays["idf"], regressions, ratios, arrays["films"], float(arrays["shrinkage"][0]))


def facts_of(film: Entry) -> dict[str, list[str]]:
    """The facts of a film by group, each once; of a person that he is in it, and whether he directs it."""
    lists = {column: [" ".join(name.casefold().split()) for name in names] for column, names in film.lists.items()}
    people = [f"person {name}" for who in ("directors", "writers", "cast") for name in lists.get(who, [])]
    directors = [f"director {name}" for name in lists.get("directors", [])]
    countries, languages = (
        [f"{kind} {name}" for name in lists.get(column, [])]
        for kind, column in (("country", "countries"), ("language", "languages"))
    )
    decade = [f"decade {film.year // 10 * 10}"] if film.year else []
    runtime = [f"runtime {min(film.runtime, LONGEST) // QUARTER * QUARTER}"] if film.runtime else []
    companies = [f"company {name}" for name in lists.get("companies", [])]
    groups = (people + directors, companies, countries + languages + decade + runtime)
    return {group: list(dict.fromkeys(names)) for group, names in zip(GROUPS, groups, strict=True)}


def unit(weights: np.ndarray) -> np.ndarray:
    """Weights (r,) of unit length."""
    length = np.sqrt(weights @ weights)
    return weights / length if length else weights

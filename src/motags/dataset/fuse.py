"""Fuse: films become one text and one set of normalised tags each (paper, section 4, Table 2, Figure 4)."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from motags.dataset.corpus import Corpus, kinds_of, text_keys
from motags.dataset.tag_vocabulary import Speller, one_number
from motags.errors import MotagsError
from motags.films.film import Film
from motags.films.text import TextOrder, words_to_read
from motags.params import Params

LEAST_BEARERS = 2  # films of a tag, below which nothing can be learned and measured
MIN_FILMS = 10  # below this no split into train, validation and test makes sense


class DatasetParams(Params):
    """Section `dataset` of params.yaml."""

    max_tags: Annotated[int, Field(ge=1)]
    min_films: Annotated[int, Field(ge=2)]
    text: TextOrder
    lead: bool
    min_plot_words: Annotated[int, Field(ge=1)]
    min_words: Annotated[int, Field(ge=1)]
    max_words: Annotated[int, Field(ge=1)]
    genres: list[str]
    homonyms: list[str]
    excluded: list[str]


def fuse(films: Iterable[Film], synonyms: dict[str, str], params: DatasetParams) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row a film: its text, its normalised tags cut to the vocabulary, and where both came from.

    With `text: plot_first`, the text is the plot where it has at least `min_plot_words` words,
    otherwise the synopsis (paper, section 4), otherwise the lead if it may serve; a short plot serves
    where there is nothing else. The vocabulary is the `max_tags` most frequent tags that at least
    `min_films` films with a text bear (Table 2), without the `excluded` ones.

    Returns:
        Columns id, title, year, text, text_source, text_from, tags, genres (those of the tags that are
        genres), tags_from, sorted by id; and how many films were dropped for having no text, a text
        shorter than `min_words`, or no tag.

    Raises:
        MotagsError: fewer than 10 films are left.
    """
    dropped = Counter(no_text=0, short_text=0, no_tags=0)
    told: list[Film] = []
    rows = []
    for film in sorted(films, key=lambda film: film.id):
        lead = film.lead if params.lead else None
        source, words = words_to_read(film.plot, film.synopsis, lead, params.text, params.min_plot_words)
        if len(words) < params.min_words:
            dropped["short_text" if words else "no_text"] += 1
            continue
        told.append(film)
        rows.append(
            (film.id, film.title, film.year, " ".join(words[: params.max_words]), source, _origins(film, source))
        )
    frame = pd.DataFrame(rows, columns=["id", "title", "year", "text", "text_source", "text_from"])
    tags, genres = _tags(told, synonyms, params)
    frame = frame.astype({"year": "Int32"})
    frame["tags"] = pd.Series(tags, dtype=object)
    frame["genres"] = pd.Series([[tag for tag in own if tag in genres] for own in tags], dtype=object)
    frame["tags_from"] = ["+".join(sorted({source for tag in film.tags for source in tag.sources})) for film in told]
    tagged = frame[[bool(own) for own in tags]].reset_index(drop=True)
    dropped["no_tags"] = len(frame) - len(tagged)
    if len(tagged) < MIN_FILMS:
        raise MotagsError(
            f"{len(tagged)} of {len(tagged) + dropped.total()} films have a text and a tag that {params.min_films} "
            f"films bear; at least {MIN_FILMS} are needed: {_remedy(told, dropped, synonyms, params)}"
        )
    return tagged, dict(dropped)


def _remedy(films: list[Film], dropped: Counter[str], synonyms: dict[str, str], params: DatasetParams) -> str:
    """What helps where too few films are left: that which would leave enough of them."""
    if not any(film.tags for film in films):
        return "none with a text has a tag; name the column of tags by crawl.columns.tags, if there is one"
    for least in range(params.min_films - 1, LEAST_BEARERS - 1, -1):
        lower = params.model_copy(update={"min_films": least})
        if sum(map(bool, _tags(films, synonyms, lower)[0])) >= MIN_FILMS:
            return f"set dataset.min_films to {least}, or add films to the catalogue or the crawl"
    if len(films) + dropped["short_text"] >= MIN_FILMS > len(films):
        return f"{dropped['short_text']} texts are shorter than dataset.min_words = {params.min_words}; lower that"
    return (
        f"add films to the catalogue or the crawl, so that {MIN_FILMS} of them have a text and a tag that "
        f"{LEAST_BEARERS} bear"
    )


def _tags(films: list[Film], synonyms: dict[str, str], params: DatasetParams) -> tuple[list[list[str]], set[str]]:
    """The tags of each film in one spelling, cut to the vocabulary; and which tags are genres."""
    speller = Speller(params.genres, params.homonyms, synonyms)
    spelled = [{speller.spell(tag.name, tag.kind) for tag in film.tags} - {""} for film in films]
    same = one_number(Counter(tag for tags in spelled for tag in tags))
    merged = [{same.get(tag, tag) for tag in tags} for tags in spelled]
    vocabulary = _vocabulary(merged, params)
    named = {speller.spell(tag.name, tag.kind) for film in films for tag in film.tags if speller.is_genre(tag)}
    return [sorted(tags & vocabulary) for tags in merged], {same.get(tag, tag) for tag in named}


def _origins(film: Film, fields: str) -> str:
    return "+".join(dict.fromkeys(film.origins.get(field, "") for field in fields.split("+")))


def _vocabulary(tag_sets: list[set[str]], params: DatasetParams) -> set[str]:
    counts = Counter(tag for tags in tag_sets for tag in tags if tag not in params.excluded)
    ranked = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return {tag for tag in ranked[: params.max_tags] if counts[tag] >= params.min_films}


def statistics(films: pd.DataFrame, dropped: dict[str, int]) -> dict[str, object]:
    """The numbers of the paper's Table 2, and what was dropped on the way to them."""
    corpus = Corpus.from_frame(films)
    return {
        "films": len(films),
        "tags": len(corpus.tags),
        "tags_per_film": float(corpus.Y.sum(1).mean()),
        "words_per_film": float(np.mean([len(text.split()) for text in films["text"]])),
        "genres": len({tag for tags in films["genres"] for tag in tags}),
        "texts": _shares(films),
        "films_with_the_text_of_another": len(films) - len(set(text_keys(corpus.texts))),
        "dropped": dropped,
    }


def _shares(films: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of each kind of text its share of the films and its words."""
    words = films["text"].map(lambda text: len(text.split()))
    return {
        str(kind): {"share": len(own) / len(films), "words": float(own.mean())}
        for kind, own in words.groupby(films["text_source"])
    }


def long_tail(films: pd.DataFrame) -> pd.DataFrame:
    """Films a tag, the most frequent first, genres and keywords told apart (Figure 4)."""
    corpus, kinds = Corpus.from_frame(films), kinds_of(films)
    return pd.DataFrame({"tag": corpus.tags, "films": corpus.Y.sum(0), "kind": [kinds[tag] for tag in corpus.tags]})

"""The sample catalogue in git: rich enough for every stage, and free to use."""

import json
from collections import Counter

from builders import SAMPLE
from motags.dataset.corpus import text_keys
from motags.films.catalogue import read_catalogue
from motags.films.film import Film


def films() -> list[Film]:
    own, aside = read_catalogue(SAMPLE, 0.0)
    assert aside == []
    return own


def test_there_are_at_least_300_films_with_ids_of_their_own() -> None:
    ids = [film.id for film in films()]
    assert len(ids) >= 300
    assert len(set(ids)) == len(ids) == len(SAMPLE.read_text(encoding="utf-8").splitlines())


def test_films_come_from_every_decade_since_1920() -> None:
    decades = {film.year // 10 * 10 for film in films() if film.year}
    assert decades == set(range(1920, 2030, 10))
    assert all(film.year for film in films())


def test_films_come_from_at_least_30_countries() -> None:
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    assert len({row["countries"][0] for row in rows}) >= 30


def test_every_synopsis_has_40_to_90_words() -> None:
    odd = {film.id: len((film.synopsis or "").split()) for film in films()}
    assert {key: words for key, words in odd.items() if not 40 <= words <= 90} == {}


def test_no_two_films_have_the_same_text() -> None:
    keys = Counter(text_keys([film.synopsis or "" for film in films()]))
    assert [key for key, times in keys.items() if times > 1] == []


def test_every_film_has_3_to_6_different_tags() -> None:
    tags = {film.id: [tag.name for tag in film.tags] for film in films()}
    assert {key: own for key, own in tags.items() if not 3 <= len(set(own)) == len(own) <= 6} == {}


def test_at_least_40_tags_are_in_5_films_or_more() -> None:
    counts = Counter(tag.name for film in films() for tag in film.tags)
    assert sum(times >= 5 for times in counts.values()) >= 40


def test_its_readme_says_that_it_is_cc0() -> None:
    assert "CC0" in SAMPLE.with_name("README.md").read_text(encoding="utf-8")

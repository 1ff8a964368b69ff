"""The whole film: what people and pictures give beside the text, and what happens where they are silent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from builders import TOPIC_TAGS, embedder_params, fitted_tagger, topic_films
from motags import Tagger
from motags.active_learning.explain import explain
from motags.errors import MotagsError
from motags.evaluation.metrics import macro_auc
from motags.films.text import Entry
from motags.paper.embedder import pretrained

FILMS, SPACESHIP, COWBOY = 160, 0, 1


def whole_films(n: int, seed: int = 0) -> tuple[list[Entry], np.ndarray]:
    """Films and tags; a cowboy is told by the director alone, a spaceship by a vector alone, the others by the text."""
    rng = np.random.default_rng(seed)
    texts, _, labels = topic_films(n, seed)
    films = []
    for row, text in enumerate(texts):
        blind = text.replace("cowboy", "hero").replace("spaceship", "hero")
        director = f"Director {rng.integers(3) if labels[row, COWBOY] else 3 + rng.integers(6)}"
        vector = rng.normal(size=4).astype(np.float32)
        vector[0] += 4 * labels[row, SPACESHIP]
        films.append(Entry(str(row), f"Film {row}", blind, {"directors": (director,)}, vectors={"poster": vector}))
    return films, labels


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> SentenceTransformer:
    return pretrained(embedder_params(tiny_encoder))


@pytest.fixture(scope="module")
def learned(encoder: SentenceTransformer) -> Tagger:
    films, labels = whole_films(FILMS)
    return fitted_tagger(encoder, films, labels, TOPIC_TAGS)


def test_what_only_people_or_pictures_tell_is_learned_from_them(learned: Tagger) -> None:
    films, labels = whole_films(200, seed=1)
    scores = learned.predict_proba(films)
    assert learned.sources_ == ["text"] * 4 + ["facts"] * 4 + ["poster"]
    for column in (SPACESHIP, COWBOY):
        assert macro_auc(labels[:, [column]], scores[:, [column]]) > 0.95
    bare = [replace(film, lists={}, vectors={}) for film in films]
    blind = learned.predict_proba(bare)
    for column in (SPACESHIP, COWBOY):
        assert macro_auc(labels[:, [column]], blind[:, [column]]) < 0.9  # one of the two: neither murder nor wedding
    assert macro_auc(labels[:, 2:4], blind[:, 2:4]) > 0.9


def test_a_film_without_text_is_tagged_by_what_is_known_and_one_of_which_nothing_is_known_is_not(
    learned: Tagger,
) -> None:
    known, unknown = Entry("a", None, "", {"directors": ("Director 1",)}), Entry("b", "A title", "")
    stranger = Entry("c", None, "", {"directors": ("Somebody Else",)})
    scored = learned.score([known, unknown, stranger])
    assert scored.known.tolist() == [True, False, False]
    assert scored.clusters.tolist() == [-1, -1, -1]
    assert scored.scores[0, COWBOY] > scored.scores[1, COWBOY]
    assert learned.tag([unknown, stranger], least=2) == [[], []]
    assert next(tag for tag, _ in learned.tag([known], least=1)[0]) == "cowboy"


def test_a_film_is_scored_alike_in_any_company_and_after_it_was_saved(learned: Tagger, tmp_path: Path) -> None:
    films, _ = whole_films(30, seed=2)
    films[3], films[7] = replace(films[3], text=""), replace(films[7], lists={}, vectors={})
    scores = learned.predict_proba(films)
    np.testing.assert_allclose(learned.predict_proba(films[::-1])[::-1], scores, atol=1e-6)
    learned.save(tmp_path / "tagger")
    loaded = Tagger.load(tmp_path / "tagger", "float32")
    assert loaded.sources_ == learned.sources_
    np.testing.assert_allclose(loaded.predict_proba(films), scores, atol=1e-5)


def test_a_film_is_scored_by_models_that_have_not_seen_it(encoder: SentenceTransformer) -> None:
    """Each film has a director of its own beside a common one: what is learned by heart would give all away."""
    films, _ = whole_films(80)
    chance = np.random.default_rng(3).random((80, 4)) < 0.3
    own = [replace(film, lists={"directors": ("A", f"Own {row // 2}")}) for row, film in enumerate(films)]
    fitted = fitted_tagger(encoder, own, chance, TOPIC_TAGS[:4])
    assert macro_auc(chance, fitted.films_.out_of_fold) < 0.65


def test_films_without_text_can_be_learned_from_too_but_not_they_alone(encoder: SentenceTransformer) -> None:
    films, labels = whole_films(80)
    some = [replace(film, text="") if row % 4 == 0 else film for row, film in enumerate(films)]
    fitted = fitted_tagger(encoder, some, labels, TOPIC_TAGS)
    assert macro_auc(labels[::4, [COWBOY]], fitted.films_.out_of_fold[::4, [COWBOY]]) > 0.9
    with pytest.raises(MotagsError, match="no training film has a text"):
        fitted_tagger(encoder, [replace(film, text="") for film in films], labels, TOPIC_TAGS)


def test_kinds_that_are_not_named_are_not_used(encoder: SentenceTransformer) -> None:
    films, labels = whole_films(60)
    fitted = fitted_tagger(encoder, films, labels, TOPIC_TAGS, evidence=["facts"])
    assert fitted.sources_ == ["text"] + ["facts"] * 4
    assert list(fitted_tagger(encoder, films, labels, TOPIC_TAGS, evidence=[]).evidence_) == []


def test_an_explanation_names_the_kind_and_the_fact_that_carry_a_tag(learned: Tagger) -> None:
    film = Entry("a", "A film", "Somebody comes to the town", {"directors": ("Director 1",), "cast": ("Nobody",)}, 1999)
    why = explain(learned, film, ["cowboy"])[0]
    weights = dict(why.sources)
    assert set(weights) == {"text", "facts"}
    assert weights["facts"] > 0.5
    assert why.facts[0][0] == "director Director 1"
    assert {fact for fact, _ in why.facts} == {"director Director 1", "cast Nobody", "year 1999"}
    none = explain(learned, replace(film, text=""), ["cowboy"])[0]
    assert (none.words, none.cluster, none.cluster_tags) == ([], -1, [])

"""Suggest: rare before frequent, new before known, no film and no twin twice; what is written; large catalogues."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import sample_films
from motags import Tagger
from motags.active_learning.suggest import Suggestion, centred, queue, suggest, write_suggestions
from motags.errors import MotagsError
from motags.tagger.model import Scores

APART = np.eye(6, dtype=np.float32)  # embeddings of six films that have nothing in common


def rows(scores: list[list[float]], support: list[int], size: int = 9, X: np.ndarray = APART) -> list[int]:
    S = np.array(scores, dtype=np.float32)
    return [pick.row for pick in queue(S, X[: len(S)], np.array(support), size)]


def test_a_film_that_probably_bears_a_rare_tag_comes_before_one_with_a_frequent_tag() -> None:
    assert rows([[0.9, 0.0], [0.0, 0.5], [0.0, 0.1]], [500, 5]) == [1, 2, 0]


def test_a_film_with_two_rare_tags_comes_before_films_with_one() -> None:
    assert rows([[0.6, 0.0], [0.4, 0.4], [0.0, 0.6]], [5, 5])[0] == 1


def test_a_tag_that_the_queue_already_has_is_asked_for_less() -> None:
    scores = [[0.9, 0.0], [0.9, 0.0], [0.0, 0.6]]
    assert rows(scores, [0, 0]) == [0, 2, 1]
    assert rows(scores, [100, 100]) == [0, 1, 2]  # two more do not matter to a tag that has a hundred


def test_twins_are_not_asked_for_one_after_the_other() -> None:
    X = APART[[0, 0, 1, 2]]
    assert rows([[0.9], [0.9], [0.2], [0.1]], [3], X=X) == [0, 2, 3, 1]


def test_films_like_known_ones_are_left_for_later() -> None:
    S = np.full((3, 1), 0.5, dtype=np.float32)
    picks = queue(S, APART[:3], np.array([3]), 3, known=APART[[0]] * 0.6 + APART[[1]] * 0.8)
    assert [pick.row for pick in picks] == [2, 0, 1]
    assert [pick.likeness for pick in picks] == pytest.approx([0, 0.6, 0.8])


def test_a_pick_says_which_tags_make_it_worth_asking() -> None:
    S = np.array([[0.9, 0.3, 0.01, 0.2]], dtype=np.float32)
    (pick,) = queue(S, APART[:1], np.array([900, 2, 4, 9]), 1)
    assert pick.tags == [1, 3, 2]
    assert pick.worth == pytest.approx(0.9 / 901 + 0.3 / 3 + 0.01 / 5 + 0.2 / 10)


def catalogue(n: int, t: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, embeddings, support and known embeddings; a third of the films have a twin."""
    rng = np.random.default_rng(seed)
    S, X = rng.random((n, t), dtype=np.float32) ** 3, rng.normal(size=(n, d)).astype(np.float32)
    S[n - n // 3 :], X[n - n // 3 :] = S[: n // 3], X[: n // 3]
    known = rng.normal(size=(seed % 4, d)).astype(np.float32)
    X, known = (A / np.linalg.norm(A, axis=1, keepdims=True) for A in (X, known))
    return S, X, rng.integers(0, 50, t), known


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 40), st.integers(0, 10_000))
def test_laws_of_a_queue(n: int, t: int, size: int, seed: int) -> None:
    S, X, support, known = catalogue(n, t, 4, seed)
    picks = queue(S, X, support, size, known)
    asked = [pick.row for pick in picks]
    assert len(asked) == len(set(asked)) == min(size, n)
    assert [pick.row for pick in queue(S, X, support, size + 3, known)][:size] == asked  # a longer queue begins alike
    worths = [pick.worth for pick in picks]
    assert worths == sorted(worths, reverse=True)
    assert all(worth >= 0 for worth in worths)
    assert all(0 <= pick.likeness <= 1 for pick in picks)
    twins = {(i, i + n - n // 3) for i in range(n // 3)}
    worthy = [pick.row for pick in picks if pick.worth > 1e-6]
    assert not any({i, j} <= set(worthy) for i, j in twins)


def test_centred_embeddings_tell_like_films_from_others_and_twins_stay_twins() -> None:
    rng = np.random.default_rng(0)
    crowd = (rng.normal(size=(200, 8)) + 9).astype(np.float32)
    crowd[1] = crowd[0]
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    X = centred(crowd, crowd.mean(0))
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-5)
    assert X[0] @ X[1] == pytest.approx(1)
    assert np.median(crowd[2:] @ crowd[0]) > 0.9
    assert abs(np.median(X[2:] @ X[0])) < 0.1
    np.testing.assert_array_equal(centred(X[:1], X[0]), np.zeros((1, 8)))  # a film at the centre is like no other


def test_arrays_that_do_not_fit_are_refused() -> None:
    S, support = np.zeros((2, 3), np.float32), np.zeros(3, int)
    with pytest.raises(MotagsError, match="don't fit"):
        queue(S, APART[:3], support, 1)
    with pytest.raises(MotagsError, match="don't fit"):
        queue(S, APART[:2], support[:2], 1)
    with pytest.raises(MotagsError, match="use one model"):
        queue(S, APART[:2], support, 1, known=np.ones((4, 5), np.float32))
    with pytest.raises(MotagsError, match="not finite"):
        queue(S * np.nan, APART[:2], support, 1)


def test_no_films_make_an_empty_queue() -> None:
    assert queue(np.zeros((0, 3), np.float32), APART[:0], np.zeros(3, int), 5, APART) == []


@pytest.fixture(scope="module")
def tagger(tagger_folder: Path) -> Tagger:
    return Tagger.load(tagger_folder)


@pytest.fixture(scope="module")
def new(tagger: Tagger) -> tuple[list[str], list[str], Scores]:
    """40 films of the sample, half of them trained on, and what the tagger says of them."""
    films = sample_films(140)[100:]
    ids, titles = ([str(film[key]) for film in films] for key in ("id", "title"))
    return ids, titles, tagger.score([str(film["synopsis"]) for film in films])


def test_films_that_were_trained_on_are_not_suggested(tagger: Tagger, new: tuple[list[str], list[str], Scores]) -> None:
    ids, titles, scored = new
    found = suggest(tagger, ids, titles, scored, 100)
    assert {film.id for film in found} == set(ids[20:])
    assert all(titles[ids.index(film.id)] == film.title for film in found)
    tag, score = found[0].tags[0]
    assert score == pytest.approx(float(scored.scores[ids.index(found[0].id), tagger.tags_.index(tag)]))


def test_the_order_of_the_catalogue_does_not_matter(tagger: Tagger, new: tuple[list[str], list[str], Scores]) -> None:
    ids, titles, scored = new
    order = np.random.default_rng(0).permutation(len(ids))
    mixed = Scores(*(part[order] for part in scored))
    again = suggest(tagger, [ids[row] for row in order], [titles[row] for row in order], mixed, 10)
    assert again == suggest(tagger, ids, titles, scored, 10)


def test_two_films_with_one_id_are_refused(tagger: Tagger, new: tuple[list[str], list[str], Scores]) -> None:
    ids, titles, scored = new
    with pytest.raises(MotagsError, match="needs an id of its own"):
        suggest(tagger, [ids[0], *ids[:-1]], titles, scored, 10)


def test_a_table_has_a_row_a_film_and_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    write_suggestions(path, [Suggestion("=1", "+x", 0.25, 0.5, [("=w", 0.314), ("War", 0.2)])])
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [
            ["id", "title", "worth", "likeness", "tags"],
            ["'=1", "'+x", "0.2500", "0.5000", "'=w 0.31 | War 0.20"],
        ]


def test_time_grows_with_the_catalogue_and_not_with_its_square() -> None:
    def seconds(n: int) -> float:
        S, X, support, known = catalogue(n, 20, 32, 1)
        started = time.process_time()
        queue(S, X, support, 20, known)
        return time.process_time() - started

    seconds(2000)
    assert seconds(32_000) < 100 * seconds(2000)

"""Facts: what they are of a film, what naive Bayes makes of them, and that no film speaks for itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motags.evidence.facts import GROUPS, Facts, facts_of
from motags.evidence.facts_training import Bayes, FactsParams, fit_facts, table_of
from motags.films.text import Entry

PARAMS = FactsParams(min_films=2, C=1.0, shrinkage=4.0)


def film(row: int, **lists: tuple[str, ...]) -> Entry:
    return Entry(str(row), None, "", lists)


def drawn_films(n: int, seed: int = 0) -> tuple[list[Entry], np.ndarray]:
    """Films of ten directors and five companies; the first three directors make the first tag."""
    rng = np.random.default_rng(seed)
    people, companies = rng.integers(10, size=n), rng.integers(5, size=(n, 2))
    names = [
        {"directors": (f"D{people[row]}",), "companies": tuple(f"C{c}" for c in companies[row])} for row in range(n)
    ]
    films = [Entry(str(row), None, "", names[row], year=1970 + int(people[row])) for row in range(n)]
    return films, np.column_stack([people < 3, rng.random(n) < 0.2])


def test_facts_of_a_film_by_group_each_once_and_by_role() -> None:
    whole = Entry(
        "1", "T", "text", {"directors": ("Ana  Lee",), "cast": ("ANA LEE", "Bo"), "countries": ("FR",)}, 1987, 500
    )
    assert facts_of(whole) == {
        "people": ["person ana lee", "person bo", "director ana lee"],
        "companies": [],
        "circumstances": ["country fr", "decade 1980", "runtime 210"],
    }
    assert facts_of(Entry("1", "T", "text")) == {group: [] for group in GROUPS}


def test_naive_bayes_by_hand() -> None:
    films = [film(0, directors=("A",)), film(1, directors=("A",)), film(2, directors=("B",)), film(3, directors=("B",))]
    Y = np.array([[True], [False], [False], [False]])
    fitted = fit_facts(films, Y, np.arange(4), PARAMS, 0)
    assert fitted is not None
    p = 1.5 / 5
    expected = 2 * np.log((1 + 4 * p) / (2 + 4) / p)  # of two films one bears the tag; person and director
    found = fitted[0].evidence([film(9, directors=("A",)), film(9, directors=("Z",)), film(9)])
    assert found[0, 1, 0] == pytest.approx(expected, abs=1e-5)
    assert np.isnan(found[0, 2:]).all()  # no company, no circumstance
    assert np.isnan(found[1:]).all()  # nobody whom it knows
    others = 2 * np.log((0 + 4 * p) / (1 + 4) / p)  # the film itself is not counted
    assert fitted[1][0, 1, 0] == pytest.approx(others, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_held_out_is_what_the_other_films_say(seed: int) -> None:
    films, Y = drawn_films(14, seed)
    table = table_of(films, 2)
    bayes = Bayes(table, Y, 4.0)
    held = bayes.held_out(np.arange(14))
    for row in range(14):
        others = np.delete(np.arange(14), row)
        X, own = table.X[others], table.X[[row]].indices
        counts, n = np.asarray(X.T @ Y[others].astype(float)), np.asarray(X.sum(0)).ravel()
        for group in range(len(GROUPS)):
            places = own[table.group[own] == group]
            expected = (np.log1p(counts[places] / bayes.held_back) - np.log1p(n[places] / 4.0)[:, None]).sum(0)
            assert np.isnan(held[row, group]).all() == (len(places) == 0)
            if len(places):
                np.testing.assert_allclose(held[row, group], expected, atol=1e-5)


def test_who_makes_a_tag_is_learned_and_the_order_of_films_and_names_changes_nothing() -> None:
    (films, Y), (new, truth) = drawn_films(150), drawn_films(100, seed=1)
    fitted = fit_facts(films, Y, np.arange(150), PARAMS, 0)
    assert fitted is not None
    found = fitted[0].evidence(new)
    for row in (0, 1):
        assert found[truth[:, 0], row, 0].min() > found[~truth[:, 0], row, 0].max()
    turned = [Entry(one.id, None, "", dict(reversed(one.lists.items())), one.year) for one in new]
    np.testing.assert_allclose(fitted[0].evidence(turned[::-1])[::-1], found, atol=1e-5)


def test_what_was_kept_says_the_same() -> None:
    films, Y = drawn_films(60)
    fitted = fit_facts(films, Y, np.arange(60), PARAMS, 0)
    assert fitted is not None
    np.testing.assert_array_equal(Facts.restored(*fitted[0].state()).evidence(films), fitted[0].evidence(films))


def test_films_that_share_no_fact_teach_nothing() -> None:
    films = [film(row, directors=(f"D{row}",)) for row in range(9)]
    assert fit_facts(films, np.ones((9, 2), dtype=bool), np.arange(9), PARAMS, 0) is None

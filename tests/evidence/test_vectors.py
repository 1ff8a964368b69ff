"""Vectors: a regression a tag on them, honest on the films that it has learned from."""

import numpy as np
import pytest

from motags.errors import MotagsError
from motags.evaluation.metrics import macro_auc
from motags.evidence.vectors import Vectors
from motags.evidence.vectors_training import LEAST_FILMS, VectorsParams, fit_vectors
from motags.films.text import Entry

PARAMS = VectorsParams(penalty=10.0, files=[])


def drawn_films(n: int, seed: int = 0) -> tuple[list[Entry], np.ndarray]:
    """Every third film has no vector; the first number tells the first tag, nothing tells the second."""
    rng = np.random.default_rng(seed)
    Y = rng.random((n, 2)) < 0.4
    vectors = rng.normal(size=(n, 6)).astype(np.float32) * [1, 1, 1, 1, 1, 1000]
    vectors[:, 0] += 4 * Y[:, 0]
    films = [Entry(str(row), None, "", vectors={"sound": vectors[row]} if row % 3 else {}) for row in range(n)]
    return films, Y


def test_what_a_number_tells_is_learned_whatever_its_scale_and_chance_is_not() -> None:
    (films, Y), (new, truth) = drawn_films(240), drawn_films(200, seed=1)
    fitted = fit_vectors("sound", films, Y, np.arange(240), PARAMS, 0)
    assert fitted is not None
    for values, labels in ((fitted[1], Y), (fitted[0].evidence(new), truth)):
        known = ~np.isnan(values[:, 0, 0])
        assert (known == (np.arange(len(labels)) % 3 > 0)).all()
        assert macro_auc(labels[known][:, :1], values[known][:, 0, :1]) > 0.95
        assert macro_auc(labels[known][:, 1:], values[known][:, 0, 1:]) < 0.62  # learned by heart it would be more


def test_what_was_kept_says_the_same_and_a_vector_of_another_length_is_refused() -> None:
    films, Y = drawn_films(90)
    fitted = fit_vectors("sound", films, Y, np.arange(90), PARAMS, 0)
    assert fitted is not None
    again = Vectors.restored("sound", fitted[0].state()[0])
    np.testing.assert_array_equal(again.evidence(films), fitted[0].evidence(films))
    with pytest.raises(MotagsError, match="film 'x' has a vector 'sound' of 5 numbers, the model has learned from 6"):
        again.evidence([Entry("x", None, "", vectors={"sound": np.zeros(5, np.float32)})])


def test_too_few_vectors_teach_nothing() -> None:
    films, Y = drawn_films(LEAST_FILMS)
    assert fit_vectors("sound", films, Y, np.arange(LEAST_FILMS), PARAMS, 0) is None

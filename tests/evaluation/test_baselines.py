"""The floors by hand and on texts that give tags away; the network over all tags; labels shuffled."""

import numpy as np
import pytest

from builders import topic_films
from motags.errors import MotagsError
from motags.evaluation.baselines import constant, one_network, tfidf_regression
from motags.evaluation.metrics import decide, micro_f1
from motags.evidence.words_training import WordsParams
from motags.paper.local_models import LocalModelsParams

PARAMS = WordsParams(max_ngram=2, min_df=2, C=1.0)
NETWORK = LocalModelsParams(
    min_count=10,
    min_tags=3,
    widths=[16, 16, 16],
    dropout=0.1,
    epochs=25,
    batch_size=50,
    learning_rate=0.01,
    balance="none",
    beta=0.9,
)
MARGIN = 0.03  # of micro-F1: what shuffled labels may reach above the constant answer by luck


def test_the_constant_answer_is_the_one_computed_by_hand() -> None:
    Y = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool)  # 1.5 tags a film, rounded to 2
    np.testing.assert_allclose(constant(Y, 3), np.tile([0.5 + 0.75 / 2, 0.5 + 0.5 / 2, 0.25 / 2], (3, 1)))


@pytest.mark.parametrize("seed", range(5))
def test_the_constant_answer_marks_as_many_tags_as_a_film_has_and_the_most_frequent(seed: int) -> None:
    Y = np.random.default_rng(seed).random((50, 9)) < np.linspace(0.02, 0.6, 9)
    scores = constant(Y, 7)
    marked = decide(scores, 0.5)
    assert (scores == scores[0]).all()
    assert marked[0].sum() == round(Y.sum() / 50)
    assert Y.sum(0)[marked[0]].min() >= Y.sum(0)[~marked[0]].max()


def test_the_constant_answer_ranks_tags_by_their_frequency() -> None:
    Y = np.random.default_rng(0).random((200, 9)) < np.linspace(0.02, 0.6, 9)
    order = np.argsort(-constant(Y, 1)[0], kind="stable")
    assert (np.diff(Y.sum(0)[order]) <= 0).all()


def test_the_constant_answer_marks_one_tag_at_least() -> None:
    Y = np.zeros((20, 3), dtype=bool)
    Y[0, 1] = True
    assert decide(constant(Y, 2), 0.5).tolist() == [[False, True, False]] * 2


def test_tfidf_learns_the_word_that_gives_a_tag_away() -> None:
    texts, _, Y = topic_films(120)
    scores = tfidf_regression(texts, Y, ["the spaceship", "A Cowboy and the town"], PARAMS, seed=0)
    assert scores.dtype == np.float32
    assert decide(scores, 0.5)[:, :4].tolist() == [[True, False, False, False], [False, True, False, False]]


def test_tfidf_says_where_no_word_is_frequent_enough() -> None:
    texts, _, Y = topic_films(50)
    with pytest.raises(MotagsError, match=r"no word stands in 51 of 50 training films: .*lower tfidf\.min_df"):
        tfidf_regression(texts, Y, texts, PARAMS.model_copy(update={"min_df": 51}), 0)


def test_tfidf_scores_a_text_of_unknown_words_and_an_empty_one_alike() -> None:
    texts, _, Y = topic_films(120)
    unknown, empty = tfidf_regression(texts, Y, ["xyzzy plugh", ""], PARAMS, seed=0)
    assert np.isfinite(unknown).all()
    np.testing.assert_array_equal(unknown, empty)


def test_tfidf_knows_a_tag_of_all_training_films_and_a_tag_of_none() -> None:
    texts, _, Y = topic_films(120)
    Y[:, 1], Y[:, 4] = True, False
    scores = tfidf_regression(texts, Y, ["the spaceship", "unknown"], PARAMS, seed=0)
    assert scores.shape == (2, 5)
    assert scores[:, 1].tolist() == [1, 1]
    assert scores[:, 4].tolist() == [0, 0]
    assert scores[0, 0] > 0.5 > scores[0, 2]


def test_tfidf_scores_a_single_tag_in_a_single_column() -> None:
    texts, _, Y = topic_films(120)
    scores = tfidf_regression(texts, Y[:, :1], ["the spaceship", "the cowboy"], PARAMS, seed=0)
    assert scores.shape == (2, 1)
    assert scores[0, 0] > 0.5 > scores[1, 0]


def test_tfidf_gives_the_same_scores_again() -> None:
    texts, _, Y = topic_films(120)
    first, again = (tfidf_regression(texts, Y, texts, PARAMS, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_one_network_learns_what_the_embeddings_tell() -> None:
    _, X, Y = topic_films(200)
    _, X_new, Y_new = topic_films(100, seed=1)
    scores = one_network(X, Y, X_new, NETWORK, "none", seed=0)
    assert scores.shape == (100, 5)
    assert (decide(scores, 0.5) == Y_new)[:, :4].mean() > 0.98


def test_one_network_answers_for_every_tag_that_a_training_film_bears_and_no_other() -> None:
    _, X, Y = topic_films(60)
    Y[:, 3], Y[:, 4] = False, False
    Y[0, 3] = True  # far below min_count, which is for clusters
    scores = one_network(X, Y, X, NETWORK, "positives", seed=0)
    assert (scores[:, :4] > 0).all()
    assert (scores[:, 4] == 0).all()


def test_one_network_balances_its_loss_as_asked() -> None:
    _, X, Y = topic_films(200)
    plain, balanced = (one_network(X, Y, X, NETWORK, balance, seed=0) for balance in ("none", "by_class"))
    assert np.abs(plain - balanced).max() > 1e-4


@pytest.mark.parametrize("method", ["tfidf", "one_network"])
def test_with_shuffled_labels_a_method_falls_to_the_constant_floor(method: str) -> None:
    texts, X, Y = topic_films(600)
    train, new = slice(0, 400), slice(400, 600)
    shuffled = np.random.default_rng(9).permutation(Y)

    def reached(Y: np.ndarray) -> float:
        if method == "tfidf":
            S = tfidf_regression(texts[train], Y[train], texts[new], PARAMS, seed=0)
        else:
            S = one_network(X[train], Y[train], X[new], NETWORK, "none", seed=0)
        return micro_f1(Y[new], decide(S, 0.5))

    floor = micro_f1(Y[new], decide(constant(Y[train], 200), 0.5))
    assert reached(Y) > floor + 0.2
    assert reached(shuffled) < floor + MARGIN

"""What the words say: scikit-learn's answer a tag, and how much a text speaks of a tag by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from builders import GENRES, NEW_TEXTS, SAMPLE_LABELS, SAMPLE_TEXTS, WORDS_PARAMS, topic_films
from motags.evidence import regressions_training as regressions
from motags.evidence.names import Names
from motags.evidence.names_training import fit_names
from motags.evidence.words import Words
from motags.evidence.words_training import fit_vectorizer, fit_words, vectorizer


def test_the_logits_are_those_of_scikit_learns_one_against_the_rest() -> None:
    tfidf = vectorizer(WORDS_PARAMS)
    X = tfidf.fit_transform(SAMPLE_TEXTS)
    regression = LogisticRegression(C=3.0, class_weight="balanced", solver="liblinear", random_state=0)
    expected = OneVsRestClassifier(regression).fit(X, SAMPLE_LABELS).decision_function(tfidf.transform(NEW_TEXTS))
    found = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0).logits(NEW_TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found, axis=0).min() > 0.1


def test_nothing_is_left_to_sort_in_what_threads_share() -> None:
    assert (
        not vectorizer(WORDS_PARAMS).fit_transform(SAMPLE_TEXTS).has_canonical_format
    )  # scikit-learn's would be sorted in place
    assert fit_vectorizer(SAMPLE_TEXTS, WORDS_PARAMS, "tagger.words")[1].has_canonical_format


def test_the_word_that_gives_a_tag_away_has_the_largest_logit() -> None:
    texts, _, own = topic_films(120)
    found = fit_words(texts, own, WORDS_PARAMS, 0).logits(["the spaceship", "A Cowboy and the town"])
    assert (found[:, :4] > 0).tolist() == [[True, False, False, False], [False, True, False, False]]


def test_a_tag_of_all_texts_and_a_tag_of_none_have_a_constant() -> None:
    own = SAMPLE_LABELS.copy()
    own[:, 1], own[:, 4] = True, False
    found = fit_words(SAMPLE_TEXTS, own, WORDS_PARAMS, 0).logits(NEW_TEXTS)
    assert set(found[:, 1]) == {1}
    assert set(found[:, 4]) == {-1}
    others = [0, 2, 3, 5, 6, 7]
    np.testing.assert_array_equal(
        found[:, others], fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0).logits(NEW_TEXTS)[:, others]
    )


def test_a_single_tag_is_a_single_column() -> None:
    found = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS[:, :1], WORDS_PARAMS, 0).logits(NEW_TEXTS)
    np.testing.assert_array_equal(
        found, fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0).logits(NEW_TEXTS)[:, :1]
    )


def test_the_same_seed_gives_the_same_logits_and_a_text_is_scored_without_its_neighbours() -> None:
    first, again = (fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 3).logits(NEW_TEXTS) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    fitted = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 3)
    np.testing.assert_allclose([fitted.logits([text])[0] for text in NEW_TEXTS], first, atol=1e-6)


def test_of_many_films_without_a_tag_some_are_drawn_and_all_that_bear_it_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0).regressions.coef
    most = len(SAMPLE_LABELS) // 2
    monkeypatch.setattr(regressions, "MOST_FILMS", most)
    drawn, again = (fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0).regressions.coef for _ in range(2))
    np.testing.assert_array_equal(drawn, again)
    few = (~SAMPLE_LABELS).sum(0) <= most
    assert few.any()
    assert not few.all()
    np.testing.assert_array_equal(drawn[:, few], full[:, few])
    assert (drawn[:, ~few] != full[:, ~few]).any(0).all()
    monkeypatch.setattr(regressions, "MOST_FILMS", 1)  # all but one of the texts that are left bear the tag
    assert (
        fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0).logits(SAMPLE_TEXTS)[SAMPLE_LABELS] > 0
    ).mean() > 0.9


def test_what_was_kept_gives_the_same_logits() -> None:
    fitted = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0)
    arrays, vocabulary = fitted.state()
    assert arrays["coef"].shape == (len(vocabulary["runs"]), len(GENRES))
    np.testing.assert_array_equal(Words.restored(arrays, vocabulary).logits(NEW_TEXTS), fitted.logits(NEW_TEXTS))


NAMES = ["kidnapping", "outer space", "wedding", "café"]
DESCRIPTIONS = ["A victim is abducted and held for ransom.", "", "A bride and a groom marry.", ""]
TOLD = [
    "A child is kidnapped by a gang.",
    "The crew is lost in space, in OUTER SPACE.",
    "Two weddings and a funeral.",
    "They meet at the cafe.",
    "The gang holds a victim for ransom.",
]


def test_a_text_that_names_a_tag_has_the_largest_cosine_with_it() -> None:
    names = fit_names(TOLD, NAMES, DESCRIPTIONS).cosines(TOLD)[:, 0]
    assert names[:4].argmax(1).tolist() == names[:4].argmax(0).tolist() == [0, 1, 2, 3]
    assert (names[:4].diagonal() > names[4] + 0.1).all()


def test_a_description_speaks_beside_the_name_and_a_missing_one_is_silent() -> None:
    cosines = fit_names(TOLD, NAMES, DESCRIPTIONS).cosines(TOLD)
    assert cosines.shape == (5, 2, 4)
    assert cosines.dtype == np.float32
    assert cosines[:, 1, 0].argmax() == 4
    assert (cosines[:, 1, [1, 3]] == 0).all()


@settings(max_examples=100)
@given(texts=st.lists(st.text(max_size=40), max_size=5))
def test_cosines_go_from_0_to_1_and_a_name_speaks_fully_of_itself(texts: list[str]) -> None:
    fitted = fit_names(TOLD, NAMES, DESCRIPTIONS)
    cosines = fitted.cosines([*texts, *NAMES])
    assert (cosines >= 0).all()
    assert (cosines <= 1 + 1e-6).all()
    np.testing.assert_allclose(cosines[len(texts) :, 0].diagonal(), 1, atol=1e-6)


def test_what_was_kept_gives_the_same_cosines() -> None:
    fitted = fit_names(TOLD, NAMES, DESCRIPTIONS)
    restored = Names.restored(*fitted.state())
    np.testing.assert_array_equal(restored.cosines(NEW_TEXTS), fitted.cosines(NEW_TEXTS))

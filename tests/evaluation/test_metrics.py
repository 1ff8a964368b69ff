"""Every score against scikit-learn, napkinxc or brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from napkinxc.metrics import Jain_et_al_inverse_propensity, ndcg_at_k, precision_at_k, psprecision_at_k
from sklearn.metrics import f1_score, precision_recall_curve, roc_auc_score

from motags.evaluation.metrics import (
    EvaluateParams,
    Evaluator,
    MethodScores,
    best_thresholds,
    calibration_error,
    decide,
    f1_per_tag,
    frequency_bands,
    macro_auc,
    micro_f1,
    precision_recall,
    propensity,
    ranking,
)

PARAMS = EvaluateParams(shrinkage=10.0, head=0.2, tail=0.5, resamples=200)
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 6))
GRID = st.integers(0, 8).map(lambda i: i / 8)  # coarse, so that equal scores and scores of 0 are common
JUDGED = SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(np.float64, shape, elements=GRID)))


def films(n: int, t: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, each film with a tag at least, and scores that say something about them, all different."""
    rng = np.random.default_rng(seed)
    Y = rng.random((n, t)) < 0.3
    Y[np.arange(n), rng.integers(t, size=n)] = True
    return Y, np.clip(rng.random((n, t)) * 0.7 + 0.3 * Y, 1e-6, 1)


def evaluator(Y: np.ndarray, params: EvaluateParams = PARAMS) -> Evaluator:
    return Evaluator(Y, Y, Y, params)


@settings(max_examples=100)
@given(judged=JUDGED)
def test_f1_equals_scikit_learn(judged: tuple[np.ndarray, np.ndarray]) -> None:
    Y, S = judged
    P = decide(S, 0.5)
    per_tag = [f1_score(y, p, zero_division=0) for y, p in zip(Y.T, P.T, strict=True)]
    np.testing.assert_allclose(f1_per_tag(Y, P), per_tag)
    assert micro_f1(Y, P) == pytest.approx(f1_score(Y.ravel(), P.ravel(), zero_division=0))


@pytest.mark.parametrize("seed", range(5))
def test_micro_and_macro_f1_of_a_method_equal_scikit_learn(seed: int) -> None:
    Y, S = films(40, 7, seed)
    Y[:, 6] = S[:, 5] = S[:, 6] = 0  # a tag that is never decided, and one that is never true either
    found = evaluator(Y).scores(MethodScores(S, S))
    for rule, thresholds in ("", 0.5), ("_tuned", best_thresholds(Y, S, PARAMS.shrinkage)):
        for mean in ("micro", "macro"):
            expected = f1_score(Y, decide(S, thresholds), average=mean, zero_division=0)
            assert found[f"{mean}_f1{rule}"] == pytest.approx(expected)


@settings(max_examples=60)
@given(n=st.integers(3, 20), t=st.integers(1, 12), seed=st.integers(0, 10_000), silent=st.floats(0, 1))
def test_precision_ndcg_and_psp_equal_napkinxc(n: int, t: int, seed: int, silent: float) -> None:
    Y, S = films(n, t, seed)
    Y[0] = False  # a film without a tag counts 0
    S[np.random.default_rng(seed).random((n, t)) < silent] = 0
    answers = [[int(j) for j in np.argsort(-row) if row[j] > 0] for row in S]  # a score of 0 is no answer
    inverse = np.asarray(Jain_et_al_inverse_propensity(Y))
    parts = ranking(Y, S, inverse)
    precision = precision_at_k(Y, answers, k=5)
    for k in (1, 3, 5):
        assert parts[f"p_at_{k}"].mean() == pytest.approx(precision[k - 1])
    assert parts["ndcg_at_5"].mean() == pytest.approx(ndcg_at_k(Y, answers, k=5)[4])
    expected = psprecision_at_k(Y, answers, inverse, k=5, normalize=True)[4]
    assert parts["psp_at_5"].sum() / parts["psp_at_5_best"].sum() == pytest.approx(expected)


@settings(max_examples=60)
@given(n=st.integers(3, 60), t=st.integers(1, 12), seed=st.integers(0, 10_000))
def test_propensity_equals_napkinxc(n: int, t: int, seed: int) -> None:
    Y, _ = films(n, t, seed)
    np.testing.assert_allclose(1 / propensity(Y), np.asarray(Jain_et_al_inverse_propensity(Y)).ravel())


def test_a_rare_tag_is_less_likely_to_be_seen() -> None:
    rare, common = propensity(np.array([[1, 1]] + [[0, 1]] * 30, dtype=bool))
    assert 0 < rare < common < 1


def test_ranking_a_true_tag_lower_costs() -> None:
    # three films with one true tag each, ranked first, second and sixth of six
    Y = np.eye(6, dtype=bool)[[0, 1, 5]]
    S = np.tile([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], (3, 1))
    parts = ranking(Y, S, np.array([1, 2, 3, 4, 5, 6]))
    assert parts["p_at_1"].tolist() == [1, 0, 0]
    np.testing.assert_allclose(parts["p_at_3"], [1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(parts["p_at_5"], [1 / 5, 1 / 5, 0])
    np.testing.assert_allclose(parts["ndcg_at_5"], [1, 1 / np.log2(3), 0])
    assert parts["psp_at_5"].tolist() == [1, 2, 0]
    assert parts["psp_at_5_best"].tolist() == [1, 2, 6]


@settings(max_examples=200)
@given(judged=JUDGED)
def test_a_tags_own_threshold_reaches_the_best_f1_of_all_cuts(judged: tuple[np.ndarray, np.ndarray]) -> None:
    Y, S = judged
    Y[0] = True  # each tag has a film
    reached = f1_per_tag(Y, decide(S, best_thresholds(Y, S, shrinkage=0)))
    for j in range(Y.shape[1]):
        cuts = [(S[:, j] >= cut) & (S[:, j] > 0) for cut in S[:, j]]
        f1 = [2 * (Y[:, j] & cut).sum() / (Y[:, j].sum() + cut.sum()) for cut in cuts]
        assert reached[j] == pytest.approx(max(f1))


@settings(max_examples=100)
@given(judged=JUDGED)
def test_much_shrinkage_gives_the_one_threshold_best_for_all(judged: tuple[np.ndarray, np.ndarray]) -> None:
    Y, S = judged
    Y[0] = True
    thresholds = best_thresholds(Y, S, shrinkage=1e15)
    np.testing.assert_allclose(thresholds, thresholds[0], rtol=1e-9)
    best = max(micro_f1(Y, decide(S, cut)) for cut in S.ravel())
    assert micro_f1(Y, decide(S, thresholds)) == pytest.approx(best)


def test_no_shrinkage_gives_each_tag_the_threshold_that_it_has_alone() -> None:
    Y, S = films(50, 6)
    alone = [best_thresholds(Y[:, [j]], S[:, [j]], 0)[0] for j in range(6)]
    np.testing.assert_allclose(best_thresholds(Y, S, 0), alone)
    assert len(set(alone)) == 6


def test_a_tag_borne_by_as_many_films_as_the_shrinkage_goes_half_way() -> None:
    Y, S = films(50, 6)
    own, common = best_thresholds(Y, S, 0), best_thresholds(Y, S, 1e15)
    support = Y.sum(0)
    for j in range(6):
        half = best_thresholds(Y, S, float(support[j]))[j]
        assert half == pytest.approx((own[j] + common[j]) / 2)


@pytest.mark.parametrize("shrinkage", [0.01, 0.5, 10])
def test_a_tag_that_no_validation_film_bears_has_the_common_threshold(shrinkage: float) -> None:
    Y, S = films(50, 6)
    Y[:, 2] = False
    assert best_thresholds(Y, S, shrinkage)[2] == pytest.approx(best_thresholds(Y, S, 1e15)[2])


def test_a_tag_that_no_validation_film_bears_is_not_given_to_every_film_without_shrinkage() -> None:
    Y, S = films(50, 6)
    Y[:, 2], S[:, 2] = False, 0.01
    assert not decide(S, best_thresholds(Y, S, shrinkage=0))[:, 2].any()


def test_films_with_the_same_score_are_decided_together() -> None:
    Y, S = np.array([[1], [0], [1], [0]], dtype=bool), np.array([[0.5], [0.5], [0.5], [0.2]])
    assert decide(S, best_thresholds(Y, S, 0)).tolist() == [[True], [True], [True], [False]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [0.25, 0.5, 0.9999998])
def test_a_threshold_tells_scores_apart_that_differ_in_the_last_digit(dtype: type, low: float) -> None:
    below = dtype(low)
    S = np.array([[np.nextafter(below, dtype(1))], [below]], dtype=dtype)
    Y = np.array([[True], [False]])
    assert decide(S, best_thresholds(Y, S, 0)).tolist() == [[True], [False]]


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.5])
def test_a_score_of_zero_never_gives_a_tag(threshold: float) -> None:
    assert not decide(np.zeros((2, 3)), threshold).any()
    assert not decide(np.zeros((2, 3)), np.full(3, threshold)).any()


def test_a_film_at_its_threshold_gets_the_tag() -> None:
    S = np.array([[0.5, 0.3], [0.49, 0.31]])
    assert decide(S, np.array([0.5, 0.3])).tolist() == [[True, True], [False, True]]
    assert decide(S, 0.5).tolist() == [[True, False], [False, False]]


def test_tuning_sees_no_use_in_scores_of_zero() -> None:
    Y, S = np.array([[1], [1], [0]], dtype=bool), np.array([[0.0], [0.4], [0.3]])
    assert decide(S, best_thresholds(Y, S, 0)).tolist() == [[False], [True], [False]]


SHARES = st.floats(0.01, 0.99)


@settings(max_examples=200)
@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=100).map(np.array), head=SHARES, tail=SHARES)
def test_bands_hold_every_tag_once_the_most_frequent_first(counts: np.ndarray, head: float, tail: float) -> None:
    bands = frequency_bands(counts, head, tail)
    assert list(bands) == ["head", "torso", "tail"]
    ranked = np.concatenate(list(bands.values()))
    assert sorted(ranked) == list(range(len(counts)))
    assert (np.diff(counts[ranked]) <= 0).all()


def test_bands_of_ten_tags_are_the_shares_asked_for() -> None:
    bands = frequency_bands(np.arange(10), head=0.2, tail=0.5)
    assert {name: tags.tolist() for name, tags in bands.items()} == {
        "head": [9, 8],
        "torso": [7, 6, 5],
        "tail": [4, 3, 2, 1, 0],
    }


def test_perfect_scores_give_one_everywhere() -> None:
    rng = np.random.default_rng(0)
    Y = np.zeros((60, 12), dtype=bool)
    for row in Y:  # five tags a film: with fewer, P@5 can't be 1
        row[rng.choice(12, 5, replace=False)] = True
    found = evaluator(Y).scores(MethodScores(*[np.where(Y, 0.9, 0.1)] * 2))
    assert found == pytest.approx(dict.fromkeys(found, 1.0) | {"calibration_error": 0.1})


def test_reversed_scores_give_less_than_the_right_ones_everywhere() -> None:
    Y, S = films(60, 12)
    right, wrong = evaluator(Y).scores(MethodScores(S, S)), evaluator(Y).scores(MethodScores(1 - S, 1 - S))
    assert wrong.pop("calibration_error") > right.pop("calibration_error")
    assert all(wrong[name] < right[name] for name in right)


def test_the_macro_f1_of_a_band_is_the_mean_over_its_tags() -> None:
    Y, S = films(60, 10)
    found = evaluator(Y).scores(MethodScores(S, S))
    per_tag = f1_per_tag(Y, decide(S, 0.5))[np.argsort(-Y.sum(0), kind="stable")]
    assert found["macro_f1_head"] == pytest.approx(per_tag[:2].mean())
    assert found["macro_f1_torso"] == pytest.approx(per_tag[2:5].mean())
    assert found["macro_f1_tail"] == pytest.approx(per_tag[5:].mean())


def test_thresholds_come_from_the_validation_films_alone() -> None:
    Y, S = films(60, 6)
    validation, test = slice(0, 30), slice(30, 60)
    judge = Evaluator(Y[validation], Y[validation], Y[test], PARAMS)
    tuned = judge.decisions(MethodScores(S[validation], S[test]))["_tuned"]
    np.testing.assert_array_equal(tuned, decide(S[test], best_thresholds(Y[validation], S[validation], 10.0)))


def test_a_method_with_thresholds_of_its_own_is_decided_by_them_whatever_the_validation_films_say() -> None:
    Y, S = films(60, 6)
    own = np.linspace(0.2, 0.9, 6)
    answer = MethodScores(np.zeros_like(S), S, own)
    decisions = evaluator(Y).decisions(answer)
    np.testing.assert_array_equal(decisions["_tuned"], decide(S, own))
    np.testing.assert_array_equal(decisions[""], decide(S, 0.5))
    found = evaluator(Y).scores(answer)
    assert found["micro_f1_tuned"] == pytest.approx(micro_f1(Y, decide(S, own)))
    assert found["macro_f1_tuned"] == pytest.approx(f1_per_tag(Y, decide(S, own)).mean())
    intervals = evaluator(Y).difference(answer, MethodScores(S, S, np.full(6, 2.0)), seed=0)
    assert intervals["micro_f1_tuned"]["low"] > 0
    assert intervals["p_at_1"] == intervals["micro_f1"] == {"low": 0, "high": 0}


@settings(max_examples=100)
@given(judged=JUDGED)
def test_the_macro_auc_is_scikit_learns_over_the_tags_that_some_films_bear_and_some_do_not(
    judged: tuple[np.ndarray, np.ndarray],
) -> None:
    Y, S = judged
    each = [roc_auc_score(y, s) for y, s in zip(Y.T, S.T, strict=True) if 0 < y.sum() < len(y)]
    assert macro_auc(Y, S) == pytest.approx(np.mean(each) if each else 0)


def test_the_macro_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    Y = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]], dtype=bool)
    S = np.array([[0.9, 0.1, 0.5], [0.4, 0.2, 0.5], [0.6, 0.3, 0.5], [0.4, 0.4, 0.5]])
    assert macro_auc(Y, S) == pytest.approx(((2 + 0.5) / 4 + 2 / 4) / 2)
    assert evaluator(Y).scores(MethodScores(S, S))["macro_auc"] == macro_auc(Y, S)


def test_the_calibration_error_is_the_one_computed_by_hand() -> None:
    S = np.array([[0.1, 0.2], [0.3, 0.9], [1.0, 0.0]])
    Y = np.array([[0, 1], [0, 1], [0, 0]], dtype=bool)
    low, high = abs(0.1 + 0.2 + 0.3 + 0.0 - 1), abs(0.9 + 1.0 - 1)  # of two bins: score less truth, summed
    assert calibration_error(Y, S, bins=2) == pytest.approx((low + high) / 6)
    assert calibration_error(Y, S) == pytest.approx((0.1 + 0.8 + 0.3 + 0.1 + 1.0 + 0.0) / 6)  # a bin of 20 for each
    assert evaluator(Y).scores(MethodScores(S, S))["calibration_error"] == calibration_error(Y, S)


def test_probabilities_are_calibrated_and_doubled_odds_are_not() -> None:
    rng = np.random.default_rng(0)
    P = rng.random((4000, 5))
    Y = rng.random(P.shape) < P
    sure = P**2 / (P**2 + (1 - P) ** 2)
    assert calibration_error(Y, P) < 0.015
    assert calibration_error(Y, sure) > 0.07
    assert calibration_error(Y, Y.astype(float)) == 0
    assert calibration_error(Y, 1 - Y.astype(float)) == 1


def test_a_method_does_not_differ_from_itself() -> None:
    Y, S = films(40, 6)
    intervals = evaluator(Y).difference(MethodScores(S, S), MethodScores(S, S), seed=0)
    assert all(interval == {"low": 0, "high": 0} for interval in intervals.values())


def test_a_clearly_better_method_has_intervals_above_zero_and_the_worse_one_below() -> None:
    Y, S = films(150, 8)
    good, bad = MethodScores(*[np.where(Y, 0.9, 0.1)] * 2), MethodScores(1 - S, 1 - S)
    better, worse = evaluator(Y).difference(good, bad, seed=0), evaluator(Y).difference(bad, good, seed=0)
    assert all(interval["low"] > 0 for interval in better.values())
    for name, interval in worse.items():
        assert interval == {"low": pytest.approx(-better[name]["high"]), "high": pytest.approx(-better[name]["low"])}


def test_an_interval_holds_the_difference_of_the_scores_and_narrows_with_more_films() -> None:
    def interval(n: int) -> dict[str, float]:
        Y, S = films(n, 8)
        answer, other = MethodScores(S, S), MethodScores(*[np.random.default_rng(1).permuted(S, axis=1)] * 2)
        found = evaluator(Y).difference(answer, other, seed=0)["micro_f1"]
        difference = evaluator(Y).scores(answer)["micro_f1"] - evaluator(Y).scores(other)["micro_f1"]
        assert found["low"] < difference < found["high"]
        return found

    few, many = interval(40), interval(640)
    assert many["high"] - many["low"] < 0.5 * (few["high"] - few["low"])


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    Y, S = films(40, 6)
    answers = MethodScores(S, S), MethodScores(1 - S, 1 - S)
    first, again, other = (evaluator(Y).difference(*answers, seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("t", [1, 2, 3, 4])
def test_fewer_than_five_tags_are_scored(t: int) -> None:
    Y, S = films(30, t)
    found = evaluator(Y).scores(MethodScores(S, S))
    assert all(np.isfinite(value) and 0 <= value <= 1 for value in found.values())
    assert found["p_at_1"] > 0.5
    assert found["p_at_5"] <= t / 5 + 1e-9


def test_precision_and_recall_are_points_of_scikit_learns_curve() -> None:
    Y, S = films(80, 10)
    curve = precision_recall(Y, S)
    precision, recall, _ = precision_recall_curve(Y.ravel(), S.ravel())
    points = set(zip(recall, precision, strict=True))
    assert all(point in points for point in zip(curve["recall"], curve["precision"], strict=True))
    assert curve["recall"].is_monotonic_increasing
    assert 90 < len(curve) <= 100
    assert np.diff(curve["recall"]).max() < 0.02
    assert (curve["recall"].min(), curve["recall"].max()) == (0, 1)


def test_precision_and_recall_of_three_pairs_are_the_ones_computed_by_hand() -> None:
    curve = precision_recall(np.array([[True, True, False]]), np.array([[0.9, 0.8, 0.8]]))
    np.testing.assert_allclose(curve[["recall", "precision"]], [[0, 1], [0.5, 1], [1, 2 / 3]])


def test_a_perfect_order_has_precision_one_at_every_recall() -> None:
    Y, _ = films(30, 6)
    assert (precision_recall(Y, np.where(Y, 0.9, 0.1))["precision"] == 1).all()


def test_recall_ends_where_only_scores_of_zero_are_left() -> None:
    Y, S = films(80, 10)
    S[:, :5] = 0
    assert precision_recall(Y, S)["recall"].max() == pytest.approx(Y[:, 5:].sum() / Y.sum())


def test_pairs_with_a_score_of_zero_do_not_count_against_precision() -> None:
    curve = precision_recall(np.array([[True, False, False, False]]), np.array([[0.9, 0.5, 0.0, 0.0]]))
    assert curve["precision"].min() >= 0.5


def test_all_scores_zero_give_a_curve_without_recall() -> None:
    curve = precision_recall(np.array([[True, False]]), np.zeros((1, 2)))
    assert curve["recall"].tolist() == [0]

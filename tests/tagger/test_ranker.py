"""The ranker: whom it believes, what rare tags have of it, how honest its scores are; and the rule of decision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ruamel.yaml import YAML

from builders import ROOT, evidence_sample, ranker_params
from motags.evaluation.metrics import calibration_error, macro_auc
from motags.tagger.model import ROWS
from motags.tagger.ranker import Ranker, RankerParams, fit, thresholds_of, with_silence

FREQUENCY = np.geomspace(0.3, 0.02, 8)


def test_a_witness_that_knows_is_believed_and_noise_is_not() -> None:
    (seen, Y, _), (new, truth, P) = evidence_sample(1500, FREQUENCY), evidence_sample(1000, FREQUENCY, seed=1)
    S = fit(seen, Y, ranker_params(), 0).predict_proba(new)
    best = macro_auc(truth, P)
    assert best - 0.02 < macro_auc(truth, S)
    assert macro_auc(truth, new[:, 0]) == pytest.approx(0.5, abs=0.05)
    backward = new.copy()
    backward[:, 1] = new[:, 1].mean() * 2 - new[:, 1]  # the witness says the opposite
    assert macro_auc(truth, fit(seen, Y, ranker_params(), 0).predict_proba(backward)) < 0.4


def test_noise_alone_tells_tags_apart_by_their_frequency_only() -> None:
    (seen, Y, _), (new, truth, _) = evidence_sample(1500, FREQUENCY), evidence_sample(1000, FREQUENCY, seed=1)
    S = fit(seen[:, [0, 2]], Y, ranker_params(), 0).predict_proba(new[:, [0, 2]])
    assert macro_auc(truth, S) == pytest.approx(0.5, abs=0.06)
    np.testing.assert_allclose(S.mean(0), Y.mean(0), atol=0.03)


def test_a_rare_tag_profits_from_what_is_learned_of_the_witnesses_on_frequent_ones() -> None:
    frequency = np.append(FREQUENCY, 0.002)
    (seen, Y, _), (new, truth, _) = evidence_sample(400, frequency, seed=2), evidence_sample(4000, frequency, seed=1)
    assert 1 <= Y[:, -1].sum() < 10
    own = slice(-1, None)
    with_others = fit(seen, Y, ranker_params(), 0).predict_proba(new)[:, own]
    alone = fit(seen[..., own], Y[:, own], ranker_params(batch_size=32), 0).predict_proba(new[..., own])
    assert macro_auc(truth[:, own], with_others) > macro_auc(truth[:, own], alone) + 0.05


def test_scores_are_the_probabilities_that_the_labels_are_drawn_from() -> None:
    (seen, Y, _), (new, truth, P) = evidence_sample(2000, FREQUENCY), evidence_sample(2000, FREQUENCY, seed=1)
    S = fit(seen, Y, ranker_params(), 0).predict_proba(new)
    assert calibration_error(truth, S) < 0.02
    assert np.abs(S - P).mean() < 0.03


@pytest.mark.slow
def test_with_the_parameters_in_git_and_as_few_films_as_the_sample_scores_are_probabilities_too() -> None:
    own = RankerParams(**YAML(typ="safe").load(ROOT / "params.yaml")["tagger"]["ranker"])
    frequency = np.geomspace(0.3, 0.015, 85)
    (seen, Y, _), (new, truth, P) = evidence_sample(340, frequency), evidence_sample(1000, frequency, seed=1)
    S = fit(seen, Y, own, 0).predict_proba(new)
    assert macro_auc(truth, S) > macro_auc(truth, P) - 0.01
    assert calibration_error(truth, S) < 0.02


def test_a_tag_that_is_rarer_than_its_evidence_says_gets_a_bias_that_prior_films_hold_back() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(800, 1, 6)).astype(np.float32)
    Y = evidence[:, 0] > 0
    Y[:, 5] &= rng.random(800) < 0.3
    free, held = (fit(evidence, Y, ranker_params(prior_films=films), 0) for films in (0.0, 1e5))
    assert free.bias[5] < free.bias[:5].min() - 0.01
    assert held.bias.abs().max() < 0.1 * free.bias.abs().max()


def test_the_loss_of_another_batch_size_leads_to_like_scores() -> None:
    (seen, Y, _), (new, _, _) = evidence_sample(300, FREQUENCY), evidence_sample(200, FREQUENCY, seed=1)
    few, many = (
        fit(seen, Y, ranker_params(batch_size=b), 0).predict_proba(new) for b in (1, 64)
    )  # of pairs: films, 1 least
    assert np.abs(few - many).mean() < 0.05


def test_same_seed_same_scores_other_seed_others() -> None:
    evidence, Y, _ = evidence_sample(200, FREQUENCY)
    first, again, other = (
        fit(evidence, Y, ranker_params(dropout=0.2), seed).predict_proba(evidence) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_film_is_scored_alike_in_any_company_and_no_film_too() -> None:
    evidence, Y, _ = evidence_sample(2 * ROWS + 7, FREQUENCY)
    ranker = fit(evidence, Y, ranker_params(steps=40), 0)
    S = ranker.predict_proba(evidence)
    assert S.dtype == np.float32
    assert ((S > 0) & (S < 1)).all()
    np.testing.assert_allclose(ranker.predict_proba(evidence[::-1].copy())[::-1], S, atol=1e-6)
    np.testing.assert_allclose(ranker.predict_proba(evidence[ROWS : ROWS + 1])[0], S[ROWS], atol=1e-6)
    assert ranker.predict_proba(evidence[:0]).shape == (0, 8)


def test_a_single_tag_is_learned() -> None:
    (seen, Y, _), (new, truth, _) = evidence_sample(1000, FREQUENCY[:1]), evidence_sample(1000, FREQUENCY[:1], seed=1)
    assert macro_auc(truth, fit(seen, Y, ranker_params(batch_size=32), 0).predict_proba(new)) > 0.75


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_films_and_witnesses_that_say_nothing_give_scores(n: int) -> None:
    evidence, Y, _ = evidence_sample(n, FREQUENCY)
    evidence[:, 0] = 7
    assert np.isfinite(fit(evidence, Y, ranker_params(), 0).predict_proba(evidence)).all()


def test_tags_of_one_frequency_and_tags_that_no_or_all_films_bear_give_scores_by_it() -> None:
    evidence, _, _ = evidence_sample(200, np.full(3, 0.5))
    Y = np.tile([[True, False, True], [True, False, False]], (100, 1))
    S = fit(evidence, Y, ranker_params(batch_size=16), 0).predict_proba(evidence)
    assert S[:, 0].min() > 0.9
    assert S[:, 2].mean() == pytest.approx(0.5, abs=0.1)
    assert S[:, 1].max() < 0.1
    alike = fit(evidence, Y[:, [2, 2, 2]], ranker_params(batch_size=16), 0).predict_proba(evidence)
    assert alike.mean() == pytest.approx(0.5, abs=0.1)


def test_evidence_far_out_says_no_more_than_evidence_at_the_edge() -> None:
    evidence, Y, _ = evidence_sample(300, FREQUENCY)
    ranker = fit(evidence, Y, ranker_params(), 0)
    far, further = evidence[:5] * 1e4, evidence[:5] * 1e8
    np.testing.assert_array_equal(ranker.predict_proba(far), ranker.predict_proba(further))


def test_what_was_kept_gives_the_same_scores() -> None:
    evidence, Y, _ = evidence_sample(200, FREQUENCY)
    ranker = fit(evidence, Y, ranker_params(), 0)
    other = Ranker(3, 8, 16).eval()
    other.load_state_dict(ranker.state_dict())
    assert {"mean", "deviation", "tag_mean", "tag_deviation", "prior"} < set(ranker.state_dict())
    np.testing.assert_array_equal(other.predict_proba(evidence), ranker.predict_proba(evidence))


def test_the_network_sees_a_tag_against_all_pairs_and_against_its_own_films() -> None:
    ranker = Ranker(1, 2, 3)
    seen: list[torch.Tensor] = []
    ranker.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    ranker.load_state_dict(
        ranker.state_dict()
        | {
            "mean": torch.tensor([[2.0]]),
            "deviation": torch.tensor([[4.0]]),
            "tag_mean": torch.tensor([[1.0, 3.0]]),
            "tag_deviation": torch.tensor([[1.0, 0.5]]),
            "prior": torch.tensor([0.5, -0.5]),
        }
    )
    ranker(torch.tensor([[[4.0, 99.0]]]))
    assert seen[0].tolist() == [[[0.5, 3.0, 0.0, 0.5], [8.0, 8.0, 0.0, -0.5]]]
    ranker(torch.full((1, 1, 2), torch.nan))
    assert seen[1].tolist() == [[[0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 1.0, -0.5]]]


def test_a_ranker_that_learned_with_silence_does_without_a_witness_as_if_it_had_never_had_it() -> None:
    (seen, Y, _), (new, truth, _) = evidence_sample(1500, FREQUENCY), evidence_sample(1000, FREQUENCY, seed=1)
    rng = np.random.default_rng(7)
    seen, new = (
        np.concatenate(
            [own[:, 1:2], own[:, 1:2] + rng.normal(scale=9, size=own[:, :1].shape)], axis=1, dtype=np.float32
        )
        for own in (seen, new)
    )
    silent = new.copy()
    silent[:, 0] = np.nan  # the surer one
    taught, untaught = (fit(seen, Y, ranker_params(silence=share), 0, sources=["one", "other"]) for share in (0.5, 0.0))
    alone = fit(seen[:, 1:], Y, ranker_params(), 0).predict_proba(new[:, 1:])
    assert macro_auc(truth, taught.predict_proba(silent)) > macro_auc(truth, alone) - 0.01
    assert calibration_error(truth, taught.predict_proba(silent)) < 0.02
    assert calibration_error(truth, taught.predict_proba(new)) < 0.02
    assert macro_auc(truth, untaught.predict_proba(silent)) < macro_auc(truth, alone) - 0.01


def test_of_what_is_left_out_some_source_stays_and_what_was_silent_stays_so() -> None:
    torch.manual_seed(0)
    evidence = torch.ones(2000, 4, 3)
    evidence[::2, 3] = torch.nan
    left = with_silence(evidence, torch.tensor([0, 0, 1, 2]), 0.4)
    there = ~left.isnan().all(2)
    assert (there[:, 0] == there[:, 1]).all()
    assert not there[::2, 3].any()
    whole = there[1::2].all(1).float().mean()
    assert 0.6 < whole < 0.75  # 60 %, and of the others those whose sources all stayed
    assert there[1::2].any(1).all()
    assert with_silence(evidence, torch.tensor([0, 0, 0, 0]), 0.4) is evidence


SCORES = st.tuples(st.integers(1, 9), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(1, 20).map(lambda i: i / 20))
)


def expected_f1(s: np.ndarray, given_: np.ndarray) -> float:
    """2 * expected hits / (pairs that are given + expected true pairs)."""
    return float(2 * s[given_].sum() / (given_.sum() + s.sum()))


def best_f1(s: np.ndarray) -> float:
    return max(expected_f1(s, s >= cut) for cut in s)


@settings(max_examples=200)
@given(S=SCORES)
def test_a_tags_threshold_reaches_the_best_expected_f1_of_all_cuts_and_is_half_of_it(S: np.ndarray) -> None:
    thresholds = thresholds_of(S, 1.0)
    for s, threshold in zip(S.T, thresholds, strict=True):
        assert threshold == pytest.approx(best_f1(s) / 2)
        assert expected_f1(s, s >= threshold - 1e-12) == pytest.approx(best_f1(s))


@settings(max_examples=200)
@given(S=SCORES)
def test_the_threshold_of_all_tags_reaches_the_best_expected_f1_over_all_pairs(S: np.ndarray) -> None:
    thresholds = thresholds_of(S, 0.0)
    assert thresholds.shape == (S.shape[1],)
    assert len(set(thresholds)) == 1
    assert thresholds[0] == pytest.approx(best_f1(S.ravel()) / 2)
    assert expected_f1(S, thresholds[0] - 1e-12 <= S) == pytest.approx(best_f1(S.ravel()))


@settings(max_examples=50)
@given(S=SCORES, macro=st.floats(0, 1))
def test_macro_goes_from_the_threshold_of_all_to_the_tags_own(S: np.ndarray, macro: float) -> None:
    all_tags, own = thresholds_of(S, 0.0), thresholds_of(S, 1.0)
    np.testing.assert_allclose(thresholds_of(S, macro), all_tags + macro * (own - all_tags))


def test_thresholds_of_two_films_are_the_ones_computed_by_hand() -> None:
    S = np.array([[0.8, 0.2], [0.4, 0.2]])
    own = [2 * 1.2 / (2 + 1.2), 2 * 0.4 / (2 + 0.4)]  # 1.6 / 2.2 for one film is less; two of two
    assert thresholds_of(S, 1.0) == pytest.approx(np.array(own) / 2)
    assert thresholds_of(S, 0.0) == pytest.approx([2 * 1.2 / (2 + 1.6) / 2] * 2)


def test_sure_scores_have_half_as_threshold_and_no_film_none() -> None:
    assert thresholds_of(np.array([[1.0], [0.0], [1.0]]), 0.5).tolist() == [0.5]
    assert thresholds_of(np.empty((0, 3)), 0.5).tolist() == [0, 0, 0]
    assert thresholds_of(np.zeros((4, 2)), 0.5).tolist() == [0, 0]

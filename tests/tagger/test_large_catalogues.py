"""What training does otherwise where films and tags are many: it draws, keeps less, goes to disk, and still learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from builders import (
    NEW_TEXTS,
    SAMPLE_LABELS,
    SAMPLE_TEXTS,
    TOPIC_TAGS,
    WORDS_PARAMS,
    embedder_params,
    encoder_training_params,
    evidence_sample,
    fitted_tagger,
    long_tailed,
    ranker_params,
    topic_films,
    tuned_on,
)
from motags.dataset import split as stratify
from motags.dataset.split import folds_of
from motags.errors import MotagsError
from motags.evaluation.metrics import macro_auc
from motags.evidence import encoder_training as tag_tuning
from motags.evidence import names_training
from motags.evidence import regressions_training as regressions
from motags.evidence.encoder_training import logits_of, lower_states
from motags.evidence.names_training import fit_names
from motags.evidence.sparse import SparseRows
from motags.evidence.words import Words
from motags.evidence.words_training import fit_words
from motags.paper.embedder import pretrained
from motags.tagger import ranker, training
from motags.tagger.ranker import fit
from motags.tagger.tagger import Tagger

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> SentenceTransformer:
    return pretrained(embedder_params(tiny_encoder))


def test_coefficients_that_are_too_many_for_a_table_give_the_same_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0)
    monkeypatch.setattr(regressions, "MOST_COEFFICIENTS", np.asarray(whole.regressions.coef).size - 1)
    monkeypatch.setattr(regressions, "KEPT", len(whole.tfidf.vocabulary) - 1)
    found = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0)
    assert isinstance(found.regressions.coef, SparseRows)
    np.testing.assert_allclose(found.logits(NEW_TEXTS), whole.logits(NEW_TEXTS), atol=0.01)


def test_each_tag_keeps_its_largest_coefficients_and_they_are_kept_in_its_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = np.asarray(fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0).regressions.coef)
    monkeypatch.setattr(regressions, "MOST_COEFFICIENTS", 0)
    monkeypatch.setattr(regressions, "KEPT", 20)
    fitted = fit_words(SAMPLE_TEXTS, SAMPLE_LABELS, WORDS_PARAMS, 0)
    assert isinstance(fitted.regressions.coef, SparseRows)
    assert np.bincount(fitted.regressions.coef.columns).tolist() == [20] * SAMPLE_LABELS.shape[1]
    for tag, column in enumerate(whole.T):
        kept = np.sort(np.abs(fitted.regressions.coef.values[fitted.regressions.coef.columns == tag]))
        np.testing.assert_array_equal(kept, np.sort(np.abs(column))[-20:])
    again = Words.restored(*fitted.state())
    np.testing.assert_array_equal(again.logits(NEW_TEXTS), fitted.logits(NEW_TEXTS))
    assert macro_auc(SAMPLE_LABELS, fitted.logits(SAMPLE_TEXTS)) > 0.9


def test_of_many_texts_some_are_spelt_the_same_ones_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["wedding", "prison"]
    monkeypatch.setattr(names_training, "MOST_SPELT", len(SAMPLE_TEXTS))
    assert (
        fit_names(SAMPLE_TEXTS, names, ["", ""], 0).tfidf.vocabulary
        == fit_names(SAMPLE_TEXTS, names, ["", ""], 1).tfidf.vocabulary
    )
    monkeypatch.setattr(names_training, "MOST_SPELT", 5)
    first, again, other = (fit_names(SAMPLE_TEXTS, names, ["", ""], seed) for seed in (0, 0, 1))
    assert first.tfidf.vocabulary == again.tfidf.vocabulary != other.tfidf.vocabulary
    np.testing.assert_allclose(first.cosines(names)[:, 0].diagonal(), 1, atol=1e-6)


def test_states_in_a_file_are_those_in_memory(encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = lower_states(encoder, SAMPLE_TEXTS, embedder_params("any"), 2)
    monkeypatch.setattr(tag_tuning, "MOST_BYTES", 0)
    in_file = lower_states(encoder, SAMPLE_TEXTS, embedder_params("any"), 2)
    assert torch.equal(in_file.values, in_memory.values)
    assert in_file.values.dtype == in_memory.values.dtype


def test_states_for_which_there_is_no_room_are_refused() -> None:
    with pytest.raises(MotagsError, match=r"has no room for \d+\.\d GB .* set TMPDIR"):
        tag_tuning._room(2**42, 2**10, torch.float32)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 8), st.integers(2, 30))
def test_the_tags_drawn_for_a_step_stand_for_all(seed: int, b: int, t: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random((b, t)) < 0.1
    tags, weight = tag_tuning._drawn_tags(labels, rng, "cpu")
    assert len(set(tags.tolist())) == len(tags)
    assert set(np.flatnonzero(labels.any(0))) <= set(tags.tolist())
    assert weight.sum().item() == pytest.approx(t)


def test_the_loss_of_drawn_tags_is_on_average_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_tuning, "MOST_TAGS", 6)
    rng = np.random.default_rng(0)
    labels, losses = rng.random((4, 40)) < 0.02, torch.as_tensor(rng.random((4, 40)))
    labels[0, 3] = True
    drawn = [tag_tuning._drawn_tags(labels, rng, "cpu") for _ in range(3000)]
    assert {len(tags) for tags, _ in drawn} == {6}
    mean = np.mean([(losses[:, tags] * weight).sum().item() for tags, weight in drawn])
    assert mean == pytest.approx(losses.sum().item(), rel=0.02)


def test_tuning_on_drawn_tags_learns_what_gives_a_tag_away(
    encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_tuning, "MOST_TAGS", 3)
    texts, _, own = topic_films(160)
    model = tuned_on(encoder, texts[:120], own[:120], encoder_training_params(epochs=12))
    states = lower_states(encoder, texts[120:], embedder_params("any"), 2)
    assert macro_auc(own[120:, :4], logits_of(model, states, embedder_params("any"))[:, :4]) > 0.9


def test_a_ranker_of_a_sample_knows_how_frequent_tags_are_among_all() -> None:
    evidence, labels, _ = evidence_sample(200, np.array([0.5, 0.3, 0.3]))
    plain, told, same = (
        fit(evidence, labels, ranker_params(steps=20), 0, frequency)
        for frequency in (None, np.array([0.5, 0.3, 0.001]), ranker.share(labels))
    )
    assert told.prior.argmin() == 2
    np.testing.assert_array_equal(plain.predict_proba(evidence), same.predict_proba(evidence))


def test_where_few_films_are_needed_one_fold_is_held_out_and_what_is_saved_is_what_was_fitted(
    encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts, _, own = topic_films(160)
    whole = fitted_tagger(encoder, texts[:120], own[:120], TOPIC_TAGS)
    monkeypatch.setattr(training, "MOST_PAIRS", 40 * len(TOPIC_TAGS))
    monkeypatch.setattr(regressions, "MOST_COEFFICIENTS", 0)
    monkeypatch.setattr(regressions, "KEPT", 30)
    fitted = fitted_tagger(encoder, texts[:120], own[:120], TOPIC_TAGS)
    assert len(fitted.films_.ids) == 40
    assert len(whole.films_.ids) == 120
    scores = fitted.predict_proba(texts[120:])
    assert macro_auc(own[120:, :4], scores[:, :4]) > 0.7
    fitted.save(tmp_path / "tagger")
    again = Tagger.load(tmp_path / "tagger", backend="float32")
    np.testing.assert_allclose(again.predict_proba(texts[120:]), scores, atol=1e-3)


def test_more_texts_and_tags_than_can_be_stratified_are_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stratify, "MOST_STRATIFIED", 0)
    labels = long_tailed(0, n=300)
    texts = [f"text {i // 2}" for i in range(300)]
    fold, again, other = (folds_of(texts, labels, 3, seed) for seed in (0, 0, 1))
    assert np.bincount(fold).tolist() == [100, 100, 100]
    np.testing.assert_array_equal(fold[::2], fold[1::2])
    np.testing.assert_array_equal(fold, again)
    assert (fold != other).any()

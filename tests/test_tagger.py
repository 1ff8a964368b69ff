"""The tagger: what it learns, that a text is scored for itself, and that what is saved is what was fitted."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from conftest import sample_films
from motags import tagger as module
from motags.artifacts import checked
from motags.embedder import pretrained
from motags.errors import MotagsError
from motags.metrics import macro_auc, micro_f1
from motags.tagger import Tagger, TaggerParams
from motags.words import WordsParams
from test_baselines import films
from test_embedder import params
from test_finetuning import same, weights
from test_ranker import params as ranker_params
from test_tag_encoder import TAGS, settings

FILMS = sample_films(90)
TEXTS = [str(film["synopsis"]) for film in FILMS]
OWN = [set(film["tags"]) for film in FILMS]  # type: ignore[call-overload]
KEPT = sorted(tag for tag in set().union(*OWN) if sum(tag in own for own in OWN) >= 8)
Y = np.array([[tag in own for tag in KEPT] for own in OWN])
SAID = ["" if j % 2 else f"A film of {tag}." for j, tag in enumerate(KEPT)]
NEW = [str(film["synopsis"]) for film in sample_films(130)[90:]]
ODD = [
    "",
    " \n",
    "word",
    "\U0001f3ac\U0001f680",
    "\u202e\u0000\ufffd",
    "A fi\u0301lm.",
    "the " * 250_000,
    "x" * 100_000,
]


def tagger(
    given: SentenceTransformer, texts: list[str], labels: np.ndarray, tags: list[str], said: list[str] | None = None,
    seed: int = 0, **changes: object,
) -> Tagger:  # fmt: skip
    """A tagger that is fitted in a second."""
    values: dict[str, object] = {
        "folds": 2,
        "encoder": settings(),
        "words": WordsParams(max_ngram=2, min_df=2, C=3.0),
        "ranker": ranker_params(batch_size=32),
    }
    own = TaggerParams.model_validate(values | changes)
    return Tagger(own, params("any"), seed).fit(given, texts, labels, tags, said or [""] * len(tags))


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> SentenceTransformer:
    return pretrained(params(tiny_encoder))


@pytest.fixture(scope="module")
def fitted(encoder: SentenceTransformer) -> Tagger:
    return tagger(encoder, TEXTS, Y, KEPT, SAID)


@pytest.fixture(scope="module")
def saved(fitted: Tagger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagger") / "tagger"
    fitted.save(folder)
    return folder


def test_every_text_has_a_score_from_0_to_1_for_every_tag(fitted: Tagger) -> None:
    S = fitted.predict_proba(NEW)
    assert len(KEPT) >= 8
    assert S.shape == (len(NEW), len(KEPT))
    assert S.dtype == fitted.thresholds_.dtype == np.float32
    assert ((S > 0) & (S < 1)).all()
    assert np.ptp(S, axis=0).min() > 0
    assert fitted.thresholds_.shape == (len(KEPT),)
    assert ((fitted.thresholds_ > 0) & (fitted.thresholds_ < 1)).all()
    np.testing.assert_array_equal(fitted.predict(NEW), fitted.thresholds_ <= S)


def test_it_learns_the_words_that_give_a_tag_away_and_knows_nothing_of_chance(encoder: SentenceTransformer) -> None:
    (texts, _, labels), (new, _, truth) = films(120), films(200, seed=1)
    names = ["first", "second", "third", "fourth", "fifth"]  # that no text has: the labels are all that tells them
    learned = tagger(encoder, texts, labels, names)
    told, chance = slice(0, 4), slice(4, 5)
    for found, true in ((learned.out_of_fold_, labels), (learned.predict_proba(new), truth)):
        assert macro_auc(true[:, told], found[:, told]) > 0.95
        assert macro_auc(true[:, chance], found[:, chance]) == pytest.approx(0.5, abs=0.12)
    assert micro_f1(truth[:, told], learned.predict(new)[:, told]) > 0.9


def test_a_film_is_not_scored_by_models_that_have_seen_its_text(encoder: SentenceTransformer) -> None:
    texts, _, _ = films(60)
    twice = [*texts, *(text.upper() for text in texts)]
    chance = np.random.default_rng(5).random((60, 4)) < 0.3
    labels = np.concatenate([chance, chance])
    learned = tagger(encoder, twice, labels, TAGS[:4], encoder=settings(epochs=6))
    assert macro_auc(labels, learned.out_of_fold_) < 0.65  # what was learned by heart would give 1


def test_neither_order_nor_neighbours_nor_batches_change_a_score(
    fitted: Tagger, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [*NEW, "", "word"]
    S = fitted.predict_proba(texts)
    np.testing.assert_allclose(fitted.predict_proba(texts[::-1])[::-1], S, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([fitted.predict_proba([text]) for text in texts[-9:]]), S[-9:], atol=1e-5)
    other = Tagger.load(saved)
    other.embedder = params("any", encode_batch_size=64)
    monkeypatch.setattr(module, "CHUNK", 5)
    np.testing.assert_allclose(other.predict_proba(texts), S, atol=1e-5)


def test_texts_of_any_kind_have_scores_and_no_text_has_none(fitted: Tagger) -> None:
    S = fitted.predict_proba(ODD)
    assert ((S > 0) & (S < 1)).all()
    np.testing.assert_array_equal(S[0], S[1])  # white space says nothing
    np.testing.assert_allclose(fitted.predict_proba(ODD[2:3]), S[2:3], atol=1e-5)
    assert fitted.predict_proba([]).shape == fitted.predict([]).shape == (0, len(KEPT))


def test_what_is_saved_gives_the_same_scores(fitted: Tagger, saved: Path) -> None:
    loaded = Tagger.load(saved)
    np.testing.assert_array_equal(loaded.predict_proba([*NEW, *ODD[:5]]), fitted.predict_proba([*NEW, *ODD[:5]]))
    np.testing.assert_array_equal(loaded.predict(NEW), fitted.predict(NEW))
    np.testing.assert_array_equal(loaded.thresholds_, fitted.thresholds_)
    assert (loaded.tags_, loaded.descriptions_) == (KEPT, SAID)
    own = fitted.embedder.model_copy(update={"device": "auto"})  # where it is loaded, not where it was saved
    assert (loaded.params, loaded.embedder, loaded.random_state) == (fitted.params, own, 0)


def test_what_is_saved_is_sealed_and_nothing_that_runs(saved: Path) -> None:
    files = [file for file in checked(saved).rglob("*") if file.is_file()]
    assert {file.suffix for file in files if file.name != "SHA256SUMS"} <= {".json", ".safetensors", ".txt"}


def test_a_flipped_byte_is_refused_wherever_it_is(saved: Path, tmp_path: Path) -> None:
    for file in [file for file in saved.rglob("*") if file.is_file() and file.name != "SHA256SUMS"]:
        folder = tmp_path / file.name
        shutil.copytree(saved, folder)
        damaged = bytearray(file.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (folder / file.relative_to(saved)).write_bytes(damaged)
        with pytest.raises(MotagsError, match=rf"{file.name} is damaged: its sha256 is"):
            Tagger.load(folder)


def test_a_tagger_that_is_missing_or_was_not_sealed_is_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match="none is missing"):
        Tagger.load(tmp_path / "none")
    shutil.copytree(saved, tmp_path / "tagger")
    (tmp_path / "tagger/SHA256SUMS").unlink()
    with pytest.raises(MotagsError, match="has no seal"):
        Tagger.load(tmp_path / "tagger")


def test_same_seed_same_bytes_other_seed_others(
    fitted: Tagger, saved: Path, encoder: SentenceTransformer, tmp_path: Path
) -> None:
    again, other = (tagger(encoder, TEXTS, Y, KEPT, SAID, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.predict_proba(NEW), fitted.predict_proba(NEW))
    np.testing.assert_array_equal(again.out_of_fold_, fitted.out_of_fold_)
    assert np.abs(other.predict_proba(NEW) - fitted.predict_proba(NEW)).max() > 1e-3
    again.save(tmp_path / "again")
    assert (tmp_path / "again/SHA256SUMS").read_text() == (saved / "SHA256SUMS").read_text()


def test_the_encoder_that_is_given_stays_as_it_is(tiny_encoder: Path) -> None:
    own = pretrained(params(tiny_encoder))
    before = weights(own)
    tagger(own, TEXTS[:40], Y[:40], KEPT)
    assert same(before, own.state_dict())


def test_a_single_tag_is_learned_saved_and_loaded(encoder: SentenceTransformer, tmp_path: Path) -> None:
    (texts, _, labels), (new, _, truth) = films(80), films(80, seed=1)
    learned = tagger(encoder, texts, labels[:, :1], TAGS[:1])
    learned.save(tmp_path / "tagger")
    S = Tagger.load(tmp_path / "tagger").predict_proba(new)
    assert S.shape == (80, 1)
    assert macro_auc(truth[:, :1], S) > 0.95


def test_a_tag_that_no_or_every_film_bears_is_scored_by_it(encoder: SentenceTransformer) -> None:
    texts, _, labels = films(80)
    labels[:, 0], labels[:, 1] = False, True
    S = tagger(encoder, texts, labels, TAGS, ranker=ranker_params(batch_size=32, steps=400)).predict_proba(texts)
    assert S[:, 0].max() < S[:, 2:].mean() < S[:, 1].min()


def test_names_and_descriptions_speak_for_a_tag_that_no_film_bears(encoder: SentenceTransformer) -> None:
    texts, _, labels = films(120)
    labels[:, 0] = False
    said = ["In a spaceship.", "A cowboy rides.", "A murder is committed.", "A wedding is held.", ""]
    own = tagger(encoder, texts, labels, TAGS, said, ranker=ranker_params(batch_size=32, steps=400))
    new, _, truth = films(200, seed=1)
    assert macro_auc(truth[:, :1], own.predict_proba(new)[:, :1]) > 0.7


def test_of_many_pairs_the_ranker_learns_from_some(
    encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 30 * len(KEPT) + 1)
    own = tagger(encoder, TEXTS, Y, KEPT, SAID)
    assert own.out_of_fold_.shape == (30, len(KEPT))
    assert np.isfinite(own.predict_proba(NEW)).all()


@pytest.mark.parametrize(("n", "folds"), [(4, 20), (8, 2), (21, 6)])
def test_few_films_are_enough(encoder: SentenceTransformer, n: int, folds: int) -> None:
    S = tagger(encoder, TEXTS[:n], Y[:n], KEPT, SAID, folds=folds).predict_proba(NEW)
    assert np.isfinite(S).all()


def test_two_different_texts_are_enough_where_each_is_there_often_enough(encoder: SentenceTransformer) -> None:
    texts = ["one text", "another"] * 5
    S = tagger(encoder, texts, np.eye(2, dtype=bool)[[0, 1] * 5], TAGS[:2]).predict_proba(texts)
    assert np.isfinite(S).all()


NOTHING = {"one text": ["one text"] * 9, "no word in two texts": ["ab cd", "ef gh", "ij kl", "mn op"]}
NOTHING["a fold of one film"] = ["ab cd", "ab ef"]


@pytest.mark.parametrize("texts", NOTHING.values(), ids=NOTHING)
def test_films_that_nothing_can_be_learned_from_are_refused_in_one_line(
    encoder: SentenceTransformer, texts: list[str]
) -> None:
    with pytest.raises(MotagsError) as error:
        tagger(encoder, texts, np.ones((len(texts), 2), dtype=bool), ["a", "b"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"folds": 1}, "folds"),
        ({"folds": 21}, "folds"),
        ({"encoder": {"trained_layers": 0}}, "encoder.trained_layers"),
        ({"ranker": {"macro": 1.5}}, "ranker.macro"),
        ({"words": {"C": "1"}}, "words.C"),
        ({"wodrs": {}}, "wodrs"),
    ],
)
def test_parameters_out_of_range_of_another_type_or_unknown_are_refused_by_name(
    fitted: Tagger, change: dict[str, object], named: str
) -> None:
    values = fitted.params.model_dump()
    for key, value in change.items():
        values[key] = values[key] | value if isinstance(value, dict) and key in values else value
    with pytest.raises(ValueError, match=named):
        TaggerParams.model_validate(values)

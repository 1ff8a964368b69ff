"""The tagger: what it learns, that a text is scored for itself, and that what is saved is what was fitted."""

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix
from sentence_transformers import SentenceTransformer

from builders import (
    TOPIC_TAGS,
    embedder_params,
    encoder_training_params,
    fitted_tagger,
    ranker_params,
    same_weights,
    sample_films,
    topic_films,
    weights_of,
)
from motags.active_learning.suggest import suggest
from motags.artifacts import checked, seal
from motags.errors import MotagsError
from motags.evaluation.metrics import macro_auc, micro_f1
from motags.evidence.onnx_encoder import Backend
from motags.films.text import TextRules
from motags.paper.embedder import pretrained
from motags.tagger import model, training
from motags.tagger.card import model_card
from motags.tagger.checks import entries_of, labels_of
from motags.tagger.tagger import Tagger
from motags.tagger.training import TaggerParams

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


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> SentenceTransformer:
    return pretrained(embedder_params(tiny_encoder))


@pytest.fixture(scope="module")
def fitted(encoder: SentenceTransformer) -> Tagger:
    return fitted_tagger(encoder, TEXTS, Y, KEPT, SAID)


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


def test_a_training_film_has_its_scores_by_models_that_had_not_seen_it_as_long_as_its_text_stays(
    fitted: Tagger, saved: Path
) -> None:
    ids, texts = ["3", "4", "new"], [TEXTS[3], NEW[0], TEXTS[5]]
    for own in (fitted, Tagger.load(saved, "float32")):
        scored = own.score(texts)
        before, known = scored.scores.copy(), own.films_.out_of_fold
        held_out = own.held_out(ids, scored)
        np.testing.assert_array_equal(held_out, np.stack([known[3], before[1], before[2]]))
        np.testing.assert_array_equal(scored.scores, before)


def test_it_learns_the_words_that_give_a_tag_away_and_knows_nothing_of_chance(encoder: SentenceTransformer) -> None:
    (texts, _, labels), (new, _, truth) = topic_films(120), topic_films(200, seed=1)
    names = ["first", "second", "third", "fourth", "fifth"]  # that no text has: the labels are all that tells them
    learned = fitted_tagger(encoder, texts, labels, names)
    told, chance = slice(0, 4), slice(4, 5)
    for found, true in ((learned.films_.out_of_fold, labels), (learned.predict_proba(new), truth)):
        assert macro_auc(true[:, told], found[:, told]) > 0.95
        assert macro_auc(true[:, chance], found[:, chance]) == pytest.approx(0.5, abs=0.12)
    assert micro_f1(truth[:, told], learned.predict(new)[:, told]) > 0.9


def test_a_film_is_not_scored_by_models_that_have_seen_its_text(encoder: SentenceTransformer) -> None:
    texts, _, _ = topic_films(60)
    twice = [*texts, *(text.upper() for text in texts)]
    chance = np.random.default_rng(5).random((60, 4)) < 0.3
    labels = np.concatenate([chance, chance])
    learned = fitted_tagger(encoder, twice, labels, TOPIC_TAGS[:4], encoder=encoder_training_params(epochs=6))
    assert macro_auc(labels, learned.films_.out_of_fold) < 0.65  # what was learned by heart would give 1


@pytest.mark.parametrize("backend", ["int8", "float32", "torch"])
def test_neither_order_nor_neighbours_nor_batches_change_a_score(
    saved: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, loaded = [*NEW, "", "word"], Tagger.load(saved, backend)
    S = loaded.predict_proba(texts)
    np.testing.assert_allclose(loaded.predict_proba(texts[::-1])[::-1], S, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([loaded.predict_proba([text]) for text in texts[-9:]]), S[-9:], atol=1e-6)
    monkeypatch.setattr(model, "CHUNK", 5)
    np.testing.assert_allclose(loaded.predict_proba(texts), S, atol=1e-6)


def test_texts_of_any_kind_have_scores_and_no_text_has_none(fitted: Tagger) -> None:
    S = fitted.predict_proba(ODD)
    assert ((S > 0) & (S < 1)).all()
    np.testing.assert_array_equal(S[0], S[1])  # white space says nothing
    np.testing.assert_allclose(fitted.predict_proba(ODD[2:3]), S[2:3], atol=1e-5)
    assert fitted.predict_proba([]).shape == fitted.predict([]).shape == (0, len(KEPT))


@pytest.mark.parametrize(("backend", "most"), [("torch", 1e-6), ("float32", 1e-5), ("int8", 0.03)])
def test_what_is_saved_gives_the_same_scores(fitted: Tagger, saved: Path, backend: Backend, most: float) -> None:
    loaded, texts = Tagger.load(saved, backend), [*NEW, *ODD[:5]]
    found, expected = loaded.score(texts), fitted.score(texts)
    np.testing.assert_allclose(found.scores, expected.scores, atol=most)
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=10 * most)
    assert (found.clusters == expected.clusters).mean() >= (0.8 if backend == "int8" else 1)
    np.testing.assert_array_equal(loaded.thresholds_, fitted.thresholds_)
    assert (loaded.tags_, loaded.kinds_, loaded.descriptions_) == (KEPT, [""] * len(KEPT), SAID)
    assert (loaded.version_, loaded.random_state) == (fitted.version_, 0)
    films = loaded.films_
    assert (films.ids, films.titles) == (fitted.films_.ids, fitted.films_.titles)
    np.testing.assert_array_equal(films.Y, Y)
    np.testing.assert_allclose(films.out_of_fold, fitted.films_.out_of_fold, atol=1e-3)


def test_threads_limit_the_backend_torch_too(saved: Path) -> None:
    before = torch.get_num_threads()
    try:
        Tagger.load(saved, "torch", threads=before + 1)
        assert torch.get_num_threads() == before + 1
        Tagger.load(saved, "torch")
        assert torch.get_num_threads() == before + 1  # none asked for: what holds is left
    finally:
        torch.set_num_threads(before)


def test_what_is_saved_is_sealed_and_nothing_that_runs(saved: Path) -> None:
    files = [file for file in checked(saved).rglob("*") if file.is_file()]
    kinds = {".json", ".safetensors", ".onnx", ".md"}
    assert {file.suffix for file in files if file.name != "SHA256SUMS"} <= kinds
    graphs = b"".join(file.read_bytes() for file in files if file.suffix == ".onnx")
    assert not {name for name in (b'.py"', b"/site-packages", b"/motags") if name in graphs}  # no trace of a machine


def test_the_card_names_each_tag_and_shows_text_of_others_as_text(fitted: Tagger, saved: Path) -> None:
    card = (saved / "README.md").read_text(encoding="utf-8")
    assert all(f"| {tag} |" in card for tag in KEPT)
    assert "90 films" in card
    odd = copy.copy(fitted)
    odd.tags_ = ["<script>alert(1)</script> | x", *KEPT[1:]]
    params = {name: section.model_dump() for name, section in fitted.params_.items()}
    assert "<script>" not in model_card(odd, params)


REPLACED = {
    "a pickle where weights should be": ("evidence.safetensors", lambda _: pickle.dumps(Trap())),
    "a pickle for a graph": ("encoder_int8.onnx", lambda _: pickle.dumps(Trap())),
    "no vocabulary": ("vocabulary.json", lambda _: b"{}"),
    "no JSON": ("films.json", lambda _: b"{"),
    "another format": ("tagger.json", lambda text: text.replace(b'"format": 5', b'"format": 99')),
}


class Trap:
    """A pickle that tells when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was run",)


@pytest.mark.parametrize(("name", "change"), REPLACED.values(), ids=REPLACED)
def test_what_is_no_part_of_a_model_is_refused_by_name_and_not_run(
    saved: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    folder = tmp_path / "tagger"
    shutil.copytree(saved, folder)
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    seal(folder)
    with pytest.raises(MotagsError, match=str(folder)) as error:
        Tagger.load(folder)
    assert "\n" not in str(error.value)


def test_a_missing_cluster_is_refused_by_its_number(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tagger"
    shutil.copytree(saved, folder)
    path = folder / "clusters.safetensors"
    with safe_open(path, framework="numpy") as file:
        about = file.metadata()
        kept = {name: file.get_tensor(name) for name in file.keys() if name != "1"}  # noqa: SIM118
    save_file(kept, path, metadata=about)
    seal(folder)
    with pytest.raises(MotagsError, match="names 3 clusters, and cluster 1 is only in one of them"):
        Tagger.load(folder)


def test_tags_in_another_order_and_another_taxonomy_are_refused_by_what_differs(saved: Path, tmp_path: Path) -> None:
    def changed(tags: Callable[[list[dict[str, object]]], None]) -> Path:
        folder = tmp_path / f"tagger{len(list(tmp_path.iterdir()))}"
        shutil.copytree(saved, folder)
        about = json.loads((folder / "tagger.json").read_text(encoding="utf-8"))
        tags(about["tags"])
        (folder / "tagger.json").write_text(json.dumps(about), encoding="utf-8")
        seal(folder)
        return folder

    with pytest.raises(MotagsError, match=rf"another order: tag 0 is {KEPT[0]!r}, in tagger.json {KEPT[-1]!r}"):
        Tagger.load(changed(lambda tags: tags.reverse()))
    with pytest.raises(MotagsError, match=r"other tags than tagger.json names: .*'Western'"):
        Tagger.load(changed(lambda tags: tags[0].update(tag="Western")))


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
    with pytest.raises(MotagsError, match=r"no model in .*none: give the folder of one by --model"):
        Tagger.load(tmp_path / "none")
    shutil.copytree(saved, tmp_path / "tagger")
    (tmp_path / "tagger/SHA256SUMS").unlink()
    with pytest.raises(MotagsError, match="has no seal"):
        Tagger.load(tmp_path / "tagger")


def test_same_seed_same_bytes_other_seed_others(
    fitted: Tagger, saved: Path, encoder: SentenceTransformer, tmp_path: Path
) -> None:
    again, other = (fitted_tagger(encoder, TEXTS, Y, KEPT, SAID, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.predict_proba(NEW), fitted.predict_proba(NEW))
    np.testing.assert_array_equal(again.films_.out_of_fold, fitted.films_.out_of_fold)
    assert np.abs(other.predict_proba(NEW) - fitted.predict_proba(NEW)).max() > 1e-3
    again.save(tmp_path / "again")
    assert (tmp_path / "again/SHA256SUMS").read_text() == (saved / "SHA256SUMS").read_text()


def test_the_encoder_that_is_given_stays_as_it_is(tiny_encoder: Path) -> None:
    own = pretrained(embedder_params(tiny_encoder))
    before = weights_of(own)
    fitted_tagger(own, TEXTS[:40], Y[:40], KEPT)
    assert same_weights(before, own.state_dict())


def test_a_tagger_that_was_loaded_is_not_saved_but_copied(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match="copy the folder that this one is from"):
        Tagger.load(saved).save(tmp_path / "again")


LISTS = [["War", "Spy"], [], ["Spy"]]
TABLE = pd.DataFrame({"Spy": [True, False, True], "War": [True, False, False]})


@pytest.mark.parametrize(
    "Y",
    [LISTS, TABLE, TABLE.astype(int), TABLE.assign(War=[1, 0, 0]), TABLE.astype(object), pd.Series(LISTS),
     pd.Series(LISTS).to_numpy(), np.array(["x", *LISTS], dtype=object)[1:]],
    ids=["lists", "a table", "numbers", "both", "objects", "a column", "an array", "a part of one"],
)  # fmt: skip
def test_tags_come_as_lists_or_as_a_table(Y: Any) -> None:
    labels, names = labels_of(Y, None)
    assert names == ["Spy", "War"]
    np.testing.assert_array_equal(labels, TABLE.to_numpy())


@pytest.mark.parametrize(
    "Y",
    [pd.DataFrame({"War": [1.0, np.nan]}), pd.DataFrame({"War": [True, None]}), pd.DataFrame({"War": [True, "x"]}),
     np.array([[0.2, 0.9], [0, 1]]), np.array([[0, 3]]), np.array([1, 0, 1])],
)  # fmt: skip
def test_a_table_of_tags_says_yes_or_no_of_each(Y: Any) -> None:
    with pytest.raises(MotagsError, match="the table of tags"):
        labels_of(Y, None)


def test_a_sparse_table_is_a_table() -> None:
    labels, names = labels_of(csr_matrix(TABLE.to_numpy()), ["Spy", "War"])
    assert names == ["Spy", "War"]
    np.testing.assert_array_equal(labels, TABLE.to_numpy())


@pytest.mark.parametrize(
    "Y", [pd.DataFrame([[1, 0]], columns=["War", "War"]), pd.DataFrame([[1, 0]], columns=[1, "1"])]
)
def test_a_name_that_stands_twice_is_refused(Y: Any) -> None:
    with pytest.raises(MotagsError, match="twice"):
        labels_of(Y, None)


@pytest.mark.parametrize("missing", [None, np.nan, 7])
def test_a_row_without_a_list_of_tags_is_named(missing: Any) -> None:
    for Y in ([["War"], missing], pd.Series([["War"], missing])):
        with pytest.raises(MotagsError, match=r"row 1 of the tags is .*, no list"):
            labels_of(Y, None)


@pytest.mark.parametrize("Y", [[[0, 1], [1, 0]], [["War", None], []]])
def test_a_tag_is_text(Y: Any) -> None:
    with pytest.raises(MotagsError, match="is no tag: a tag is text"):
        labels_of(Y, None)


@pytest.mark.parametrize("Y", [["War", "Spy"], np.array(["War", "Spy"]), pd.Series(["War", "Spy"])])
def test_a_tag_where_a_list_of_tags_belongs_is_refused(Y: Any) -> None:
    with pytest.raises(MotagsError, match="'War' stands where a list of tags is expected"):
        Tagger().fit(["one text", "another"], Y)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tags": ["a", "b", "c"]}, "2 columns of tags have 3 names"),
        ({"ids": ["1"]}, "4 films have 1 ids"),
        ({"titles": ["One"]}, "4 films have 1 titles"),
        ({"tags": ["a", "a"]}, "the tags name 'a' twice"),
    ],
)
def test_arguments_that_do_not_fit_each_other_are_refused(given: dict[str, list[str]], said: str) -> None:
    with pytest.raises(MotagsError, match=said):
        Tagger().fit(["a text"] * 4, np.ones((4, 2), dtype=bool), **given)  # type: ignore[arg-type]
    with pytest.raises(MotagsError, match="there are no films to learn from"):
        Tagger().fit([], [], tags=["a"])
    with pytest.raises(MotagsError, match="there are no tags to learn"):
        Tagger().fit(["a text"] * 4, [[]] * 4)


@pytest.mark.parametrize(
    "texts",
    [
        pd.DataFrame({"any": ["A witch", "A war"]}), pd.DataFrame({"id": [1, 2], "overview": ["A witch", "A war"]}),
        np.array(["A witch", "A war"]), pd.Series(["<p>A witch</p>", "A\u200b war"]),
        [{"plot": "A witch"}, {"plot": "A war"}],
    ],
)  # fmt: skip
def test_texts_come_as_a_list_a_column_or_in_films(texts: Any) -> None:
    assert [entry.text for entry in entries_of(texts, TextRules())] == ["A witch", "A war"]


@pytest.mark.parametrize("films", [{"a": "x"}, {"x"}, "x"])
def test_a_container_that_is_no_list_of_films_is_refused(films: Any) -> None:
    with pytest.raises(MotagsError, match=r"stands where a list of texts.* is expected: (give|put) "):
        entries_of(films, TextRules())


FILM_TABLE = pd.DataFrame(
    {
        "title": ["Alien", "Heat"],
        "tagline": ["In space no one can hear you scream.", np.nan],
        "overview": ["A crew meets a creature.", "A thief and a detective."],
        "director": ["Ridley Scott", "Michael Mann"],
        "cast": [["Sigourney Weaver", "John Hurt"], None],
        "runtime": [117.0, np.nan],
        "year": [1979, 1995],
    }
)


@pytest.mark.parametrize("films", [FILM_TABLE, FILM_TABLE.to_dict("records")], ids=["pandas", "dictionaries"])
def test_films_come_with_all_that_a_catalogue_has_of_them(films: Any) -> None:
    alien, heat = entries_of(films, TextRules())
    assert alien.text == "Alien. In space no one can hear you scream. A crew meets a creature."
    assert (alien.year, alien.runtime) == (1979, 117)
    assert alien.lists == {"directors": ("Ridley Scott",), "cast": ("Sigourney Weaver", "John Hurt")}
    assert (heat.text, heat.runtime) == ("Heat. A thief and a detective.", None)
    assert heat.lists == {"directors": ("Michael Mann",)}
    only = entries_of(films, TextRules(fields=("text",)))
    assert [entry.text for entry in only] == ["A crew meets a creature.", "A thief and a detective."]


def test_a_blank_text_gets_no_tags_whatever_is_asked_for(fitted: Tagger) -> None:
    assert fitted.tag([" ", "N/A"], least=2, threshold=0.0) == [[], []]
    assert not fitted.predict([" ", "\\N"]).any()


@pytest.mark.parametrize("texts", ["A witch", ["A witch", None], pd.Series(["A witch", np.nan])])
def test_what_is_no_list_of_texts_is_refused(fitted: Tagger, texts: Any) -> None:
    with pytest.raises(MotagsError, match=r"where a list of texts is expected|text 1 is (None|nan), no text"):
        fitted.predict_proba(texts)
    with pytest.raises(MotagsError, match="text"):
        Tagger().fit(texts, [["a"]] * len(texts))


@pytest.mark.parametrize("section", ["bert-base", ["folds", 3], embedder_params("any")])
def test_a_section_is_a_dictionary_or_its_own_record(section: Any) -> None:
    with pytest.raises(MotagsError, match=r"Tagger: tagger = .*: give a dictionary of the parameters in section"):
        Tagger(section).fit(TEXTS, Y)


@pytest.mark.parametrize(("backend", "threads"), [("fp16", 0), ("int8", -1)])
def test_a_backend_that_there_is_not_and_threads_below_0_are_refused(saved: Path, backend: Any, threads: int) -> None:
    with pytest.raises(MotagsError, match="backends are int8, float32, torch, threads 0 or more"):
        Tagger.load(saved, backend, threads)


def test_a_given_encoder_that_reads_fewer_tokens_is_refused(encoder: SentenceTransformer, fitted: Tagger) -> None:
    with pytest.raises(MotagsError, match=r"embedder\.max_tokens = 129: the encoder reads 128 at most"):
        Tagger(fitted.tagger, embedder_params("any", max_tokens=129)).fit(TEXTS, Y, encoder=encoder)


def test_numbers_as_ids_become_text(encoder: SentenceTransformer, fitted: Tagger, tmp_path: Path) -> None:
    titles: Any = np.array([np.nan, *("x" * 89)], dtype=object)
    learned = copy.deepcopy(fitted).fit(TEXTS, Y, ids=np.arange(90) + 7, titles=titles, encoder=encoder)  # type: ignore[arg-type]
    assert learned.version_ == ""
    learned.save(tmp_path / "tagger")
    films = Tagger.load(tmp_path / "tagger").films_
    assert (films.ids[0], films.titles[:2]) == ("7", ["", "x"])


def test_a_single_tag_is_learned_saved_and_loaded(encoder: SentenceTransformer, tmp_path: Path) -> None:
    """In few steps: a ranker that is sure of all it saw says 1e-9 of new films, which the saved graph rounds to 0."""
    (texts, _, labels), (new, _, truth) = topic_films(80), topic_films(200, seed=1)
    ranker = ranker_params(batch_size=32, steps=50)
    learned = fitted_tagger(encoder, texts, labels[:, :1], TOPIC_TAGS[:1], ranker=ranker)
    learned.save(tmp_path / "tagger")
    S = Tagger.load(tmp_path / "tagger").predict_proba(new)
    assert S.shape == (200, 1)
    assert ((S > 0) & (S < 1)).all()
    assert macro_auc(truth[:, :1], S) > 0.95


def test_a_tag_that_no_or_every_film_bears_is_scored_by_it(encoder: SentenceTransformer) -> None:
    texts, _, labels = topic_films(80)
    labels[:, 0], labels[:, 1] = False, True
    S = fitted_tagger(encoder, texts, labels, TOPIC_TAGS, ranker=ranker_params(batch_size=32, steps=400)).predict_proba(
        texts
    )
    assert S[:, 0].max() < S[:, 2:].mean() < S[:, 1].min()


def test_names_and_descriptions_speak_for_a_tag_that_no_film_bears(encoder: SentenceTransformer) -> None:
    texts, _, labels = topic_films(120)
    labels[:, 0] = False
    said = ["In a spaceship.", "A cowboy rides.", "A murder is committed.", "A wedding is held.", ""]
    own = fitted_tagger(encoder, texts, labels, TOPIC_TAGS, said, ranker=ranker_params(batch_size=32, steps=400))
    new, _, truth = topic_films(200, seed=1)
    assert macro_auc(truth[:, :1], own.predict_proba(new)[:, :1]) > 0.7


def test_of_many_pairs_the_ranker_learns_from_some(
    encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training, "MOST_PAIRS", 30 * len(KEPT) + 1)
    own = fitted_tagger(encoder, TEXTS, Y, KEPT, SAID)
    assert own.films_.out_of_fold.shape == (30, len(KEPT))
    assert np.isfinite(own.predict_proba(NEW)).all()
    own.save(tmp_path / "tagger")
    kept = Tagger.load(tmp_path / "tagger")
    assert sorted(map(int, [*kept.films_.ids, *kept.others_])) == list(range(90))
    np.testing.assert_array_equal(kept.support_, Y.sum(0))
    card = (tmp_path / "tagger/README.md").read_text()
    assert "\n90 films with" in card
    assert "On 30 of these films" in card
    scored = own.score(TEXTS[:5])
    assert suggest(kept, [str(row) for row in range(5)], [""] * 5, scored, 9) == []


@pytest.mark.parametrize(("n", "folds"), [(4, 20), (8, 2), (21, 6)])
def test_few_films_are_enough(encoder: SentenceTransformer, n: int, folds: int) -> None:
    S = fitted_tagger(encoder, TEXTS[:n], Y[:n], KEPT, SAID, folds=folds).predict_proba(NEW)
    assert np.isfinite(S).all()


def test_two_different_texts_are_enough_where_each_is_there_often_enough(encoder: SentenceTransformer) -> None:
    texts = ["one text", "another"] * 5
    S = fitted_tagger(encoder, texts, np.eye(2, dtype=bool)[[0, 1] * 5], TOPIC_TAGS[:2]).predict_proba(texts)
    assert np.isfinite(S).all()


NOTHING = {"one text": ["one text"] * 9, "no word in two texts": ["ab cd", "ef gh", "ij kl", "mn op"]}
NOTHING["a fold of one film"] = ["ab cd", "ab ef"]


@pytest.mark.parametrize("texts", NOTHING.values(), ids=NOTHING)
def test_films_that_nothing_can_be_learned_from_are_refused_in_one_line(
    encoder: SentenceTransformer, texts: list[str]
) -> None:
    with pytest.raises(MotagsError) as error:
        fitted_tagger(encoder, texts, np.ones((len(texts), 2), dtype=bool), ["a", "b"])
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
    values = fitted.tagger.model_dump()
    for key, value in change.items():
        values[key] = values[key] | value if isinstance(value, dict) and key in values else value
    with pytest.raises(ValueError, match=named):
        TaggerParams.model_validate(values)

"""Every method with every metric on the same test films; the tables and the map."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

from motags.dataset.corpus import Corpus
from motags.evaluation.metrics import EvaluateParams, best_thresholds, decide, f1_per_tag, micro_f1
from motags.evaluation.report import evaluate, film_map
from motags.evaluation.rows import ROWS

METHODS = [row.key for row in ROWS]
PLOTTED = [row.key for row in ROWS if row.plotted]
COMPARED = {row.key: list(row.compared) for row in ROWS if row.compared}
PARAMS = EvaluateParams(shrinkage=10.0, head=0.2, tail=0.5, resamples=100)
KEYS = {
    "micro_f1",
    "macro_f1",
    "micro_f1_tuned",
    "macro_f1_tuned",
    "p_at_1",
    "p_at_3",
    "p_at_5",
    "ndcg_at_5",
    "psp_at_5",
    "macro_f1_head",
    "macro_f1_torso",
    "macro_f1_tail",
    "macro_auc",
    "calibration_error",
}


def films(n: int, t: int = 8) -> Corpus:
    rng = np.random.default_rng(0)
    Y = rng.random((n, t)) < 0.3
    Y[np.arange(n), np.arange(n) % t] = True
    names = [f"{i:03d}" for i in range(n)]
    return Corpus(names, [f"Film {i}" for i in names], [f"text {i}" for i in names], [f"tag {j}" for j in range(t)], Y)


def parts_of(n: int) -> dict[str, np.ndarray]:
    rows = np.random.default_rng(1).permutation(n)
    return {"train": rows[: n // 2], "validation": rows[n // 2 : 3 * n // 4], "test": rows[3 * n // 4 :]}


def scores_of(corpus: Corpus) -> dict[str, np.ndarray]:
    """Each method better than the one before; the last one, "motags", knows the truth."""
    rng = np.random.default_rng(2)
    shares = np.linspace(0, 1, len(METHODS))
    return {
        name: (share * (0.1 + 0.8 * corpus.Y) + (1 - share) * rng.random(corpus.Y.shape)).astype(np.float32)
        for name, share in zip(METHODS, shares, strict=True)
    }


def evaluated(n: int = 200, t: int = 8) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    corpus = films(n, t)
    return evaluate(corpus, parts_of(n), scores_of(corpus), PARAMS, seed=0)


def embeddings(n: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, 16)).astype(np.float32)


def test_every_method_has_every_metric_as_a_number_from_0_to_1() -> None:
    metrics, _, _ = evaluated()
    assert set(metrics) == set(METHODS) == {
        "constant", "tfidf", "bert", "bert_star", "bert_star_cb", "bert_star_clusters", "ours", "motags",
    }  # fmt: skip
    for values in metrics.values():
        assert set(values) >= KEYS
        assert all(0 <= values[key] <= 1 for key in KEYS)


def test_a_method_that_knows_the_truth_gets_one_and_a_better_method_more() -> None:
    metrics, _, _ = evaluated()
    perfect = {key: metrics["motags"][key] for key in KEYS if key.startswith(("micro", "macro", "ndcg"))}
    assert perfect == dict.fromkeys(perfect, 1)
    ranked = [metrics[name]["micro_f1_tuned"] for name in METHODS]
    assert ranked == sorted(ranked)
    assert ranked[0] < 0.6


def test_the_scores_are_those_of_the_test_films_with_thresholds_of_the_validation_films() -> None:
    corpus, parts = films(200), parts_of(200)
    S, (metrics, _, _) = scores_of(corpus)["bert"], evaluated()
    validation, test = parts["validation"], parts["test"]
    tuned = best_thresholds(corpus.Y[validation], S[validation], PARAMS.shrinkage)
    assert metrics["bert"]["micro_f1"] == pytest.approx(micro_f1(corpus.Y[test], decide(S[test], 0.5)))
    assert metrics["bert"]["micro_f1_tuned"] == pytest.approx(micro_f1(corpus.Y[test], decide(S[test], tuned)))


def test_a_method_with_thresholds_of_its_own_is_decided_by_them() -> None:
    corpus, parts = films(200), parts_of(200)
    S, own = scores_of(corpus), np.linspace(0.1, 0.6, 8).astype(np.float32)
    S["bert"][parts["validation"]] = 0  # of no use to it
    metrics, _, _ = evaluate(corpus, parts, S | {"bert_thresholds": own}, PARAMS, seed=0)
    test, (others, _, _) = parts["test"], evaluated()
    assert metrics["bert"]["micro_f1_tuned"] == pytest.approx(micro_f1(corpus.Y[test], decide(S["bert"][test], own)))
    assert {name: values for name, values in metrics.items() if name != "bert"} == {
        name: values for name, values in others.items() if name != "bert"
    }


def test_the_papers_method_and_ours_are_compared_to_others_with_an_interval_a_metric() -> None:
    metrics, _, _ = evaluated()
    compared = {"ours": ["bert_star"], "motags": ["tfidf", "bert_star", "ours"]}
    assert compared == COMPARED
    for name in METHODS:
        expected = {f"difference_to_{other}" for other in compared.get(name, [])}
        assert {key for key in metrics[name] if key.startswith("difference_to_")} == expected
        intervals = [interval for key in expected for interval in metrics[name][key].values()]
        assert all(set(interval) == {"low", "high"} for interval in intervals)
        assert all(interval["low"] <= interval["high"] for interval in intervals)
    for name in compared:
        assert metrics[name]["difference_to_bert_star"]["micro_f1"]["low"] > 0


def test_the_tag_table_has_a_row_a_tag_and_plotted_method_with_its_training_films_and_f1() -> None:
    corpus, parts = films(200), parts_of(200)
    _, tags, _ = evaluated()
    assert list(tags.columns) == ["tag", "support", "f1", "method"]
    assert set(tags["method"]) == set(PLOTTED)
    S, validation, test = scores_of(corpus)["tfidf"], parts["validation"], parts["test"]
    own = tags[tags["method"] == "tfidf"]
    assert list(own["tag"]) == corpus.tags
    assert list(own["support"]) == corpus.Y[parts["train"]].sum(0).tolist()
    tuned = best_thresholds(corpus.Y[validation], S[validation], PARAMS.shrinkage)
    np.testing.assert_allclose(own["f1"], f1_per_tag(corpus.Y[test], decide(S[test], tuned)))


def test_the_curve_table_has_precision_against_recall_for_every_method() -> None:
    _, _, curves = evaluated()
    assert list(curves.columns) == ["recall", "precision", "method"]
    assert list(curves["method"].unique()) == list(METHODS)
    assert curves[["recall", "precision"]].apply(lambda column: column.between(0, 1).all()).all()
    assert (curves[curves["method"] == "motags"].query("recall < 1")["precision"] == 1).all()


def test_the_same_seed_gives_the_same_tables() -> None:
    first, again = evaluated(), evaluated()
    assert first[0] == again[0]
    pd.testing.assert_frame_equal(first[1], again[1])
    pd.testing.assert_frame_equal(first[2], again[2])


@pytest.mark.parametrize(("n", "t"), [(10, 1), (12, 2), (20, 4)])
def test_few_films_with_few_tags_are_scored(n: int, t: int) -> None:
    metrics, tags, _ = evaluated(n, t)
    assert all(np.isfinite(metrics[name][key]) for name in METHODS for key in KEYS)
    assert len(tags) == t * len(PLOTTED)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 50])
def test_the_map_places_any_number_of_films(n: int) -> None:
    placed = film_map(films(60), embeddings(60), np.arange(60) % 3, np.arange(5, 5 + n), seed=0)
    assert list(placed.columns) == ["x", "y", "cluster", "title", "tags"]
    assert len(placed) == n
    assert np.isfinite(placed[["x", "y"]].to_numpy()).all()


def test_the_map_places_films_with_one_and_the_same_embedding() -> None:
    X, clusters, rows = np.ones((10, 16), dtype=np.float32), np.zeros(10, dtype=int), np.arange(10)
    # in a process of its own: compiled code that meets a NaN may take the process with it
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        placed = pool.submit(film_map, films(10), X, clusters, rows, 0).result()
    assert np.isfinite(placed[["x", "y"]].to_numpy()).all()


def test_the_map_gives_a_film_its_own_cluster_title_and_tags() -> None:
    corpus, rows = films(60), np.array([7, 3, 50, 20])
    placed = film_map(corpus, embeddings(60), np.arange(60) % 3, rows, seed=0)
    assert placed["title"].tolist() == ["Film 007", "Film 003", "Film 050", "Film 020"]
    assert placed["cluster"].tolist() == [1, 0, 2, 2]
    bears = [{f"tag {j}" for j in range(8) if corpus.Y[row, j]} for row in rows]
    assert [set(tags.split(", ")) for tags in placed["tags"]] == bears


def test_the_map_brings_like_films_together() -> None:
    X = embeddings(60) * 0.1
    X[:30] += 5
    placed = film_map(films(60), X, np.zeros(60, dtype=int), np.arange(60), seed=0)[["x", "y"]].to_numpy()
    apart = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    nearest = np.where(np.eye(60, dtype=bool), np.inf, apart).argmin(1)
    assert ((nearest < 30) == (np.arange(60) < 30)).all()


def test_the_same_seed_gives_the_same_map() -> None:
    first, again = (film_map(films(60), embeddings(60), np.zeros(60, int), np.arange(40), seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)

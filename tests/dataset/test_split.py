"""The split: every film in one part, tags in proportion, the same text never in two parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import long_tailed
from motags.dataset.corpus import Corpus
from motags.dataset.fuse import DatasetParams, fuse, statistics
from motags.dataset.split import SplitParams, deviation, folds_of, part_frame, parts_of, split
from motags.errors import MotagsError
from motags.films.film import Film

PARAMS = SplitParams(test=0.3, validation=0.15)


def corpus(Y: np.ndarray, texts: list[str] | None = None) -> Corpus:
    n, t = Y.shape
    ids = [f"f{i:04}" for i in range(n)]
    return Corpus(ids, ids, texts or [f"text {i}" for i in range(n)], [f"tag {j:02}" for j in range(t)], Y)


def test_every_film_is_in_one_part() -> None:
    films = corpus(long_tailed(0))
    rows = parts_of(films, part_frame(films, split(films, PARAMS, 0)))
    assert list(rows) == ["train", "validation", "test"]
    assert sorted(np.concatenate(list(rows.values()))) == list(range(1000))


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_sizes_and_tags_are_in_proportion(seed: int) -> None:
    Y = long_tailed(seed)
    part = split(corpus(Y), PARAMS, seed)
    assert (part == "test").mean() == pytest.approx(0.3, abs=0.02)
    assert (part == "validation").mean() == pytest.approx(0.7 * 0.15, abs=0.02)
    frequent = Y[:, Y.sum(0) >= 30]
    shares = frequent[part == "test"].sum(0) / frequent.sum(0)
    assert frequent.shape[1] > 10
    assert np.abs(shares - 0.3).max() <= 0.02


def test_a_split_hangs_on_its_seed_only() -> None:
    films = corpus(long_tailed(0, n=300))
    first, again, other = (split(films, PARAMS, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.1


def test_planted_duplicates_are_found_and_never_straddle() -> None:
    rng = np.random.default_rng(0)
    tags = [["a", "b", "c"][: rng.integers(1, 4)] for _ in range(250)]
    texts = [f"Film {i}: a sea, a storm, a ship." for i in range(200)]
    texts += [f"film {i} -- A sea a storm a SHIP!" for i in range(50)]
    films = [
        Film(id=f"{i:03}", title="T", synopsis=text, tags=own)
        for i, (text, own) in enumerate(zip(texts, tags, strict=True))
    ]
    numbers = {"max_tags": 9, "min_films": 2, "min_plot_words": 60, "min_words": 3, "max_words": 99}
    params = DatasetParams(**numbers, text="plot_first", lead=False, genres=[], homonyms=[], excluded=[])
    frame, dropped = fuse(films, {}, params)
    assert statistics(frame, dropped)["films_with_the_text_of_another"] == 50
    part = split(Corpus.from_frame(frame), PARAMS, 42)
    np.testing.assert_array_equal(part[200:], part[:50])
    assert set(part[200:]) == {"train", "validation", "test"}


@pytest.mark.parametrize(("texts", "different"), [(["one text"], 1), (["one text", "One, text!", "another"], 2)])
def test_too_few_different_texts_are_refused(texts: list[str], different: int) -> None:
    films = corpus(np.ones((12, 2), dtype=bool), (texts * 12)[:12])
    with pytest.raises(MotagsError, match=f"only {different} different texts"):
        split(films, PARAMS, 0)


def test_three_different_texts_are_enough() -> None:
    films = corpus(np.ones((12, 2), dtype=bool), ["one text", "another", "a third"] * 4)
    part = split(films, PARAMS, 0)
    assert set(part) == set(part[:3]) == {"train", "validation", "test"}


@settings(max_examples=150)
@given(
    n=st.integers(3, 12),
    t=st.integers(2, 4),
    seed=st.integers(0, 999),
    test=st.floats(0.05, 0.9),
    validation=st.floats(0.05, 0.9),
)
def test_a_tiny_set_has_a_film_in_each_part(n: int, t: int, seed: int, test: float, validation: float) -> None:
    Y = np.random.default_rng(seed).random((n, t)) < 0.5
    part = split(corpus(Y), SplitParams(test=test, validation=validation), seed)
    assert set(part) == {"train", "validation", "test"}


@pytest.mark.parametrize("t", [1, 2])
def test_tags_in_all_films_are_split_like_any(t: int) -> None:
    films = corpus(np.ones((100, t), dtype=bool))
    part = split(films, PARAMS, 0)
    assert deviation(films, part, 0.3)["largest_deviation"] <= 0.02


def test_the_only_tag_may_be_in_some_films() -> None:
    part = split(corpus(np.arange(100).reshape(-1, 1) % 2 == 0), PARAMS, 0)
    assert (part[::2] == "test").sum() == pytest.approx(15, abs=1)


def test_deviation_is_the_one_counted_by_hand() -> None:
    Y = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [1, 0]], dtype=bool)  # tests: 2 of 5 and 2 of 2
    part = np.array(["train", "validation", "test", "test", "train"])
    assert deviation(corpus(Y), part, 0.3) == {
        "films": {"train": 2, "validation": 1, "test": 2},
        "test_share": 0.4,
        "largest_deviation": pytest.approx(0.7),
        "mean_deviation": pytest.approx(0.4),
    }


def test_the_parts_of_other_films_are_refused() -> None:
    films = corpus(np.ones((4, 2), dtype=bool))
    frame = part_frame(films, np.array(["train", "test", "validation", "train"]))
    rows = parts_of(films, frame)
    assert {name: list(own) for name, own in rows.items()} == {"train": [0, 3], "validation": [2], "test": [1]}
    for other in (frame.iloc[:3], frame.iloc[::-1], frame.assign(id=["f0000", "f0001", "f0002", "f0009"])):
        with pytest.raises(MotagsError, match="made for other films"):
            parts_of(films, other)


def texts_of(n: int) -> list[str]:
    return [f"text {i}" for i in range(n)]


@settings(max_examples=100)
@given(n=st.integers(1, 45), t=st.integers(1, 4), k=st.integers(2, 20), seed=st.integers(0, 999))
def test_folds_are_a_partition_and_none_is_empty(n: int, t: int, k: int, seed: int) -> None:
    Y = np.random.default_rng(seed).random((n, t)) < 0.3
    fold = folds_of(texts_of(n), Y, k, seed)
    assert fold.shape == (n,)
    assert fold.dtype == np.int64
    assert set(fold) == set(range(min(n, k)))


@pytest.mark.parametrize("k", [2, 3, 5])
def test_the_folds_have_films_and_tags_in_proportion(k: int) -> None:
    Y = long_tailed(0, n=300, t=10)
    fold = folds_of(texts_of(300), Y, k, 0)
    assert np.abs(np.bincount(fold) - 300 / k).max() <= 0.15 * 300 / k
    counts = np.stack([Y[fold == own].sum(0) for own in range(k)])  # (k, t)
    assert np.abs(counts - Y.sum(0) / k).max() <= 3


def test_the_same_text_is_in_the_same_fold() -> None:
    Y = long_tailed(0, n=120, t=10)
    texts = [f"Film {i}: a sea." for i in range(80)] + [f"film {i} -- A SEA!" for i in range(40)]
    fold = folds_of(texts, Y, 3, 0)
    np.testing.assert_array_equal(fold[80:], fold[:40])
    assert set(fold[80:]) == {0, 1, 2}


def test_of_fewer_texts_than_folds_each_is_a_fold() -> None:
    fold = folds_of(["one", "another", "One!", "a third"], np.ones((4, 2), dtype=bool), 5, 0)
    assert fold[0] == fold[2]
    assert sorted(set(fold)) == [0, 1, 2]


def test_the_only_tag_is_shared_by_the_folds() -> None:
    Y = np.arange(100).reshape(-1, 1) % 5 == 0
    fold = folds_of(texts_of(100), Y, 4, 0)
    assert np.bincount(fold[::5]).tolist() == [5, 5, 5, 5]


def test_folds_hang_on_their_seed_only() -> None:
    Y = long_tailed(0, n=100, t=10)
    first, again, other = (folds_of(texts_of(100), Y, 3, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.1

"""The clusterer against brute force, its degenerate cases and its file; the tables by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from motags.artifacts import sha256
from motags.errors import MotagsError
from motags.paper.clusterer import Clusterer, ClustererParams, cluster_summary, cluster_table


def films(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(n, d))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def around(*centers: tuple[float, float], per: int = 10) -> np.ndarray:
    noise = np.random.default_rng(1).normal(scale=0.01, size=(len(centers) * per, 2))
    return (np.repeat(centers, per, axis=0) + noise).astype(np.float32)


def nearest(X: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    differences = X[:, None].astype(np.float64) - centroids[None].astype(np.float64)  # (n, k, d)
    return np.sqrt((differences**2).sum(2)).argmin(1)


@settings(max_examples=25)
@given(n=st.integers(2, 120), k=st.integers(1, 25), seed=st.integers(0, 1000))
def test_every_training_film_is_assigned_to_the_centroid_nearest_by_brute_force(n: int, k: int, seed: int) -> None:
    X = films(n, seed=seed)
    clusterer = Clusterer(k, n_init=1, random_state=seed).fit(X)
    np.testing.assert_array_equal(clusterer.labels_, nearest(X, clusterer.centroids_))
    assert 1 <= len(clusterer.centroids_) <= k
    assert len(clusterer.centroids_) == 1 or np.bincount(clusterer.labels_).min() >= 2


def test_a_new_film_goes_to_the_nearest_centroid() -> None:
    clusterer, new = Clusterer(20).fit(films(200)), films(300, seed=9)
    np.testing.assert_array_equal(clusterer.predict(new), nearest(new, clusterer.centroids_))


def test_films_in_three_heaps_make_three_clusters() -> None:
    labels = Clusterer(3).fit(around((0, 0), (5, 0), (0, 5))).labels_.reshape(3, 10)
    assert (labels == labels[:, :1]).all()
    assert len(set(labels[:, 0])) == 3


def test_the_same_seed_gives_the_same_centroids_and_another_seed_others() -> None:
    X = films(150)
    first, again, other = (Clusterer(12, n_init=2, random_state=seed).fit(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.centroids_, again.centroids_)
    np.testing.assert_array_equal(first.labels_, again.labels_)
    assert not np.array_equal(first.centroids_, other.centroids_)


def test_more_clusters_than_different_films_make_as_many_as_there_are_different_films() -> None:
    X = np.repeat(films(3), 2, axis=0)
    clusterer = Clusterer(100).fit(X)
    assert len(clusterer.centroids_) == 3
    assert (clusterer.labels_[::2] == clusterer.labels_[1::2]).all()


@pytest.mark.parametrize("n", [1, 2, 7])
def test_where_no_cluster_is_large_enough_all_films_make_one(n: int) -> None:
    X = films(n)
    clusterer = Clusterer(k=10).fit(X)
    np.testing.assert_allclose(clusterer.centroids_, X.mean(0, keepdims=True), rtol=1e-6)
    assert clusterer.labels_.tolist() == [0] * n


def test_films_that_are_all_the_same_make_one_cluster() -> None:
    X = np.tile(films(1), (30, 1))
    clusterer = Clusterer(20).fit(X)
    np.testing.assert_allclose(clusterer.centroids_, X[:1], rtol=1e-6)
    assert clusterer.labels_.tolist() == [0] * 30


def test_a_cluster_of_one_film_is_dissolved_into_its_neighbour(caplog: pytest.LogCaptureFixture) -> None:
    X = np.concatenate([around((0, 0), (5, 0)), np.array([[5, 9]], dtype=np.float32)])
    clusterer = Clusterer(3, min_films=2).fit(X)
    assert len(clusterer.centroids_) == 2
    assert clusterer.labels_[-1] == clusterer.labels_[10] != clusterer.labels_[0]
    assert "2 clusters, not 3" in caplog.text


def test_a_cluster_of_exactly_min_films_stays() -> None:
    X = np.concatenate([around((0, 0)), around((9, 9), per=4)])
    assert len(Clusterer(2, min_films=4).fit(X).centroids_) == 2
    assert len(Clusterer(2, min_films=5).fit(X).centroids_) == 1


def test_a_clusterer_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    clusterer, new = Clusterer(7).fit(films(80)), films(50, seed=5)
    clusterer.save(tmp_path / "clusterer.safetensors")
    loaded = Clusterer.load(tmp_path / "clusterer.safetensors")
    np.testing.assert_array_equal(loaded.centroids_, clusterer.centroids_)
    np.testing.assert_array_equal(loaded.labels_, clusterer.labels_)
    np.testing.assert_array_equal(loaded.predict(new), clusterer.predict(new))
    assert loaded.k == 7


@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_flipped_byte_is_refused_with_file_and_both_hashes(tmp_path: Path, place: float) -> None:
    path = tmp_path / "clusterer.safetensors"
    Clusterer(5).fit(films(40)).save(path)
    sealed, content = sha256(path), bytearray(path.read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(MotagsError) as refused:
        Clusterer.load(path)
    assert all(word in str(refused.value) for word in (str(path), sealed, sha256(path)))


@pytest.mark.parametrize("gone", ["clusterer.safetensors", "clusterer.safetensors.sha256"])
def test_a_missing_file_or_seal_is_refused(tmp_path: Path, gone: str) -> None:
    Clusterer(5).fit(films(40)).save(tmp_path / "clusterer.safetensors")
    (tmp_path / gone).unlink()
    with pytest.raises(MotagsError, match=gone):
        Clusterer.load(tmp_path / "clusterer.safetensors")


@pytest.mark.parametrize("change", [{"k": 0}, {"k": -1}, {"k": 1_000_000}, {"k": "x"}, {"min_films": 1}, {"n": 3}])
def test_a_parameter_out_of_its_range_is_refused_by_name(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        ClustererParams(**{"k": 20, "min_films": 2, "n_init": 10} | change)


def test_the_summary_is_the_one_computed_by_hand() -> None:
    bears = [[0, 2], [1], [3], [2], [0, 2], [2, 3]]
    Y = np.array([[tag in own for tag in range(4)] for own in bears])
    parts = {"train": np.array([0, 1, 3]), "validation": np.array([2]), "test": np.array([4, 5])}
    clusters, tags = np.array([0, 0, 0, 1, 1, 1]), [np.array([0, 1]), np.array([2])]
    assert cluster_summary(Clusterer(20), clusters, tags, Y, parts) == {
        "asked_for": 20,
        "clusters": 2,
        "train_films": {"least": 1, "mean": 1.5, "most": 2},
        "tags_per_cluster": {"least": 1, "mean": 1.5, "most": 2, "mean_in_paper": 12},
        "coverage": {"train": 3 / 4, "validation": 0.0, "test": 2 / 4},
    }


def test_the_table_has_films_and_tags_of_each_cluster_under_its_three_most_frequent_tags() -> None:
    tags = [np.array([2, 0, 1, 3]), np.array([1])]
    table = cluster_table(np.array([0, 1, 0]), tags, ["Drama", "war", "Comedy", "love"])
    assert table.to_dict("records") == [
        {"cluster": "0: Comedy, Drama, war", "what": "films", "count": 2},
        {"cluster": "0: Comedy, Drama, war", "what": "tags", "count": 4},
        {"cluster": "1: war", "what": "films", "count": 1},
        {"cluster": "1: war", "what": "tags", "count": 1},
    ]

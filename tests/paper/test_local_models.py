"""The local models against plain torch networks, the class-balanced loss by hand, training and the folder."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from motags.artifacts import sha256
from motags.errors import MotagsError
from motags.paper.local_models import (
    PREDICT_ROWS,
    Dense,
    LocalModels,
    LocalModelsParams,
    Norm,
    effective_weights,
    networks,
)

BALANCES = ["none", "positives", "by_class", "average"]


def params(**changes: object) -> LocalModelsParams:
    small = {
        "min_count": 1,
        "min_tags": 1,
        "widths": [8, 8, 8],
        "dropout": 0.1,
        "epochs": 3,
        "batch_size": 10,
        "learning_rate": 0.01,
        "balance": "positives",
        "beta": 0.9,
    }
    return LocalModelsParams(**small | changes)


def films(n: int = 60, t: int = 5, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random films that bear at least a tag each, dealt to k clusters."""
    rng = np.random.default_rng(seed)
    Y = rng.random((n, t)) < 0.4
    Y[np.arange(n), rng.integers(t, size=n)] = True
    return rng.normal(size=(n, 4)).astype(np.float32), Y, np.arange(n) % k


def fitted(seed: int = 0, **changes: object) -> LocalModels:
    return LocalModels(params(**changes), seed).fit(*films())


def trained(k: int, dropout: float) -> nn.Sequential:
    """Networks whose norms have seen data, with widths that differ."""
    torch.manual_seed(1)
    model = networks(k, 4, 5, [8, 6, 7], dropout)
    for module in model:
        if isinstance(module, Norm):
            nn.init.normal_(module.norm.weight)
            nn.init.normal_(module.norm.bias)
    for _ in range(5):
        model(torch.randn(k, 16, 4))
    return model


def plain(model: nn.Sequential, c: int) -> Iterator[nn.Module]:
    """Cluster c's layers as torch's own."""
    for module in model:
        if isinstance(module, Dense):
            _, inputs, outputs = module.weight.shape
            layer: nn.Module = nn.Linear(inputs, outputs)
            layer.load_state_dict({"weight": module.weight[c].T, "bias": module.bias[c, 0]})
            yield layer
        elif isinstance(module, Norm):
            width = outputs
            state = {name: own(values, c, width) for name, values in module.norm.state_dict().items()}
            layer = nn.BatchNorm1d(width)
            layer.load_state_dict(state)
            yield layer
        else:
            yield nn.ReLU() if isinstance(module, nn.ReLU) else nn.Dropout(module.p)


def own(values: Tensor, c: int, width: int) -> Tensor:
    return values[c * width : (c + 1) * width] if values.ndim else values


def test_a_network_is_dense_relu_norm_dropout_three_times_then_dense() -> None:
    model = networks(3, 4, 5, [8, 6, 7], 0.3)
    assert [type(module) for module in model] == [Dense, nn.ReLU, Norm, nn.Dropout] * 3 + [Dense]
    assert [module.weight.shape[1:] for module in model if isinstance(module, Dense)] == [
        (4, 8),
        (8, 6),
        (6, 7),
        (7, 5),
    ]
    assert {module.p for module in model if isinstance(module, nn.Dropout)} == {0.3}
    assert model(torch.randn(3, 9, 4)).shape == (3, 9, 5)


def test_batched_networks_equal_plain_ones_in_eval_mode() -> None:
    model, x = trained(3, dropout=0.3).eval(), torch.randn(3, 11, 4)
    for c in range(3):
        torch.testing.assert_close(model(x)[c], nn.Sequential(*plain(model, c)).eval()(x[c]), atol=1e-5, rtol=1e-5)


def test_batched_networks_equal_plain_ones_in_train_mode_with_gradients_and_running_statistics() -> None:
    model = trained(3, dropout=0.0)
    twins = [nn.Sequential(*plain(model, c)) for c in range(3)]
    x, cotangent = torch.randn(3, 11, 4), torch.randn(3, 11, 5)
    y = model.zero_grad() or model.train()(x)
    (y * cotangent).sum().backward()
    for c, twin in enumerate(twins):
        z = twin.train()(x[c])
        torch.testing.assert_close(y[c], z, atol=1e-5, rtol=1e-5)
        (z * cotangent[c]).sum().backward()
        for module, layer in zip(model, twin, strict=True):
            if isinstance(module, Dense):
                torch.testing.assert_close(module.weight.grad[c].T, layer.weight.grad, atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(module.bias.grad[c, 0], layer.bias.grad, atol=1e-4, rtol=1e-4)
            if isinstance(module, Norm):
                width, norm = layer.num_features, module.norm
                torch.testing.assert_close(own(norm.weight.grad, c, width), layer.weight.grad, atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(own(norm.running_mean, c, width), layer.running_mean)
                torch.testing.assert_close(own(norm.running_var, c, width), layer.running_var)


def test_new_dense_layers_start_like_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = Dense(50, 9, 20), [nn.Linear(9, 20) for _ in range(50)]
    assert ours.weight.abs().max().item() <= 1 / 3
    for name, tolerance in ("weight", 0.03), ("bias", 0.1):
        expected = torch.stack([getattr(layer, name) for layer in theirs]).std().item()
        assert getattr(ours, name).std().item() == pytest.approx(expected, rel=tolerance)


def test_other_films_in_one_cluster_leave_the_other_clusters_networks_as_they_are() -> None:
    X, Y, clusters = films()
    first = LocalModels(params(), 0).fit(X, Y, clusters)
    X[clusters == 1] *= -3
    Y[clusters == 1] = Y[clusters == 1][:, ::-1]
    other = LocalModels(params(), 0).fit(X, Y, clusters)
    before, after = first.predict_proba(X, clusters), other.predict_proba(X, clusters)
    np.testing.assert_allclose(before[clusters != 1], after[clusters != 1], atol=1e-6)
    assert np.abs(before - after)[clusters == 1].max() > 0.05
    for c in (0, 2):
        for mine, theirs in zip(plain(first.networks_, c), plain(other.networks_, c), strict=True):
            torch.testing.assert_close(mine.state_dict(), theirs.state_dict())


def test_a_tag_that_a_cluster_has_not_scores_exactly_zero_and_the_others_more() -> None:
    X, Y, clusters = films()
    Y[clusters == 0, 1], Y[clusters == 1, 3] = False, False
    models = LocalModels(params(), 0).fit(X, Y, clusters)
    assert [sorted(tags) for tags in models.tags_] == [[0, 2, 3, 4], [0, 1, 2, 4], [0, 1, 2, 3, 4]]
    scores = models.predict_proba(X, clusters)
    assert scores.dtype == np.float32
    for c, tags in enumerate(models.tags_):
        others = np.setdiff1d(np.arange(5), tags)
        assert (scores[np.ix_(clusters == c, others)] == 0).all()
        assert ((scores[np.ix_(clusters == c, tags)] > 0) & (scores[np.ix_(clusters == c, tags)] < 1)).all()


@pytest.mark.parametrize(
    ("min_count", "min_tags", "expected"),
    [
        (3, 1, [1, 0]),
        (4, 1, [1]),
        (1, 1, [1, 0, 2]),
        (6, 1, [1]),
        (6, 2, [1, 0]),
        (6, 9, [1, 0, 2]),  # a tag that no film of the cluster bears can't be learned
    ],
)
def test_a_cluster_has_its_frequent_tags_and_never_fewer_than_min_tags(
    min_count: int, min_tags: int, expected: list[int]
) -> None:
    # films that bear tags 0 to 3: in the first cluster 3, 5, 1, 0; in the second 0, 0, 6, 6
    first = [[1, 1, 0, 0]] * 3 + [[0, 1, 0, 0]] + [[0, 1, 1, 0]]
    Y = np.array(first + [[0, 0, 1, 1]] * 6, dtype=bool)
    X, _, _ = films(n=11)
    models = LocalModels(params(min_count=min_count, min_tags=min_tags, epochs=1), 0).fit(
        X, Y, np.repeat([0, 1], [5, 6])
    )
    assert models.tags_[0].tolist() == expected


def test_effective_weights_are_one_at_beta_zero() -> None:
    assert effective_weights(np.array([1, 2, 50, 4000]), 0.0).tolist() == [1, 1, 1, 1]


def test_effective_weights_go_to_one_over_n_as_beta_goes_to_one() -> None:
    np.testing.assert_allclose(effective_weights(np.array([1, 10, 400]), 1 - 1e-7), [1, 1 / 10, 1 / 400], rtol=1e-4)


def test_an_effective_weight_is_the_one_computed_by_hand() -> None:
    # E_3 = 1 + 1/2 + 1/4
    np.testing.assert_allclose(effective_weights(np.array([1, 3]), 0.5), [1, 1 / 1.75])


LABELS = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 1, 0], [0, 0, 0]], dtype=bool)  # tags of 4, 2 and 1 films


def weights(balance: str) -> np.ndarray:
    return LocalModels(params(balance=balance, beta=0.5), 0)._weights(LABELS)


def test_without_balance_all_weights_are_one() -> None:
    assert weights("none").tolist() == np.ones((5, 3)).tolist()


def test_balanced_positives_weigh_at_least_one_and_negatives_one() -> None:
    # effective numbers 1.875, 1.5 and 1: the most frequent tag's positives weigh 1
    expected = np.where(LABELS, [1, 1.875 / 1.5, 1.875], 1)
    np.testing.assert_allclose(weights("positives"), expected)
    assert weights("positives").min() == 1


def test_by_class_weighs_a_tags_films_alike_with_mean_one() -> None:
    per_tag = np.array([1 / 1.875, 1 / 1.5, 1]) / np.mean([1 / 1.875, 1 / 1.5, 1])
    np.testing.assert_allclose(weights("by_class"), np.tile(per_tag, (5, 1)))
    assert weights("by_class")[0].mean() == pytest.approx(1)


def test_average_weighs_a_film_by_the_mean_of_its_tags() -> None:
    head, torso, tail = np.array([1 / 1.875, 1 / 1.5, 1]) / np.mean([1 / 1.875, 1 / 1.5, 1])
    per_film = [(head + torso) / 2, head, (head + tail) / 2, (head + torso) / 2, 1]
    np.testing.assert_allclose(weights("average"), np.tile(per_film, (3, 1)).T)


def test_balanced_positives_lift_the_scores_of_a_rare_tags_films() -> None:
    rng = np.random.default_rng(0)
    Y = np.zeros((300, 2), dtype=bool)
    Y[:, 0], Y[::15, 1] = True, True  # all films, and 20 films
    X = rng.normal(size=(300, 4)).astype(np.float32)
    X[:, 0] += Y[:, 1]  # the rare tag shows, but blurred
    one = np.zeros(300, dtype=int)
    scores = {
        balance: LocalModels(params(balance=balance, beta=0.999, batch_size=50, epochs=20), 0)
        .fit(X, Y, one)
        .predict_proba(X, one)
        for balance in ("none", "positives")
    }
    rare = Y[:, 1]
    assert scores["positives"][rare, 1].mean() > scores["none"][rare, 1].mean() + 0.1
    assert scores["positives"][rare, 1].mean() > scores["positives"][~rare, 1].mean() + 0.1


@pytest.mark.parametrize("balance", BALANCES)
def test_clusters_of_one_and_two_films_train_and_score_beside_a_large_one(balance: str) -> None:
    X, Y, _ = films(n=50)
    clusters = np.array([0, 1, 1] + [2] * 47)
    models = LocalModels(params(balance=balance), 0).fit(X, Y, clusters)
    scores = models.predict_proba(X, clusters)
    assert np.isfinite(scores).all()
    assert all(values.isfinite().all() for values in models.networks_.state_dict().values())
    # a single film's tags are all that its network has seen
    assert sorted(models.tags_[0]) == np.flatnonzero(Y[0]).tolist()
    assert (scores[0, Y[0]] > 0.5).all()


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_parameter_to_lower() -> None:
    X, Y, clusters = films()
    X[7, 0] = np.nan
    with pytest.raises(MotagsError, match=r"local_models\.learning_rate"):
        LocalModels(params(), 0).fit(X, Y, clusters)


def test_scores_depend_neither_on_the_order_of_films_nor_on_their_neighbours() -> None:
    X, _, clusters = films()
    models = fitted()
    scores = models.predict_proba(X, clusters)
    order = np.random.default_rng(3).permutation(len(X))
    np.testing.assert_allclose(models.predict_proba(X[order], clusters[order]), scores[order], atol=1e-6)
    alone = [models.predict_proba(X[[i]], clusters[[i]])[0] for i in range(len(X))]
    np.testing.assert_allclose(alone, scores, atol=1e-6)


def test_a_cluster_of_more_films_than_fit_one_forward_pass_is_scored_like_each_film_alone() -> None:
    X, _, _ = films(n=PREDICT_ROWS + 50)
    clusters = np.where(np.arange(len(X)) % 400 == 0, 2, 1)
    models = fitted()
    scores = models.predict_proba(X, clusters)
    large, edge = np.flatnonzero(clusters == 1), PREDICT_ROWS // len(models.tags_)
    rows = np.concatenate([np.flatnonzero(clusters == 2)[:2], large[[0, edge - 1, edge, 2 * edge, -1]]])
    alone = [models.predict_proba(X[[i]], clusters[[i]])[0] for i in rows]
    np.testing.assert_allclose(scores[rows], alone, atol=1e-6)
    assert (scores > 0).any(1).all()


def test_no_films_get_no_scores() -> None:
    assert fitted().predict_proba(np.zeros((0, 4), np.float32), np.zeros(0, int)).shape == (0, 5)


def test_the_same_seed_gives_the_same_scores_to_the_last_digit_and_another_seed_others() -> None:
    X, _, clusters = films()
    first, again, other = (fitted(seed, dropout=0.3).predict_proba(X, clusters) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_separable_films_are_learned_in_every_cluster() -> None:
    X, _, clusters = films(n=240)
    Y = np.column_stack([X[:, 0] > 0, X[:, 1] > 0, clusters == 2])
    Y[:, 0] ^= clusters == 1  # the same place means the opposite in another cluster
    models = LocalModels(params(widths=[32, 32, 32], batch_size=40, epochs=60), 0).fit(X, Y, clusters)
    assert ((models.predict_proba(X, clusters) >= 0.5) == Y).mean() > 0.97


def test_models_come_back_from_their_folder_with_the_same_scores(tmp_path: Path) -> None:
    X, _, clusters = films()
    models = fitted()
    models.save(tmp_path / "local")
    loaded = LocalModels.load(tmp_path / "local")
    np.testing.assert_array_equal(loaded.predict_proba(X, clusters), models.predict_proba(X, clusters))
    assert loaded.params == models.params
    assert [tags.tolist() for tags in loaded.tags_] == [tags.tolist() for tags in models.tags_]


@pytest.mark.parametrize("name", ["networks.safetensors", "config.json"])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_flipped_byte_is_refused_with_file_and_both_hashes(tmp_path: Path, name: str, place: float) -> None:
    fitted(epochs=1).save(tmp_path / "local")
    path = tmp_path / "local" / name
    sealed, content = sha256(path), bytearray(path.read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(MotagsError) as refused:
        LocalModels.load(tmp_path / "local")
    assert all(word in str(refused.value) for word in (str(path), sealed, sha256(path)))


@pytest.mark.parametrize("name", ["networks.safetensors", "config.json", "SHA256SUMS"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    fitted(epochs=1).save(tmp_path / "local")
    (tmp_path / "local" / name).unlink()
    with pytest.raises(MotagsError, match=name):
        LocalModels.load(tmp_path / "local")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match="local is missing"):
        LocalModels.load(tmp_path / "local")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("sealed_anew", [False, True])
def test_a_pickle_in_place_of_the_weights_is_refused_and_never_run(tmp_path: Path, sealed_anew: bool) -> None:
    folder, trace = tmp_path / "local", tmp_path / "the pickle was run"
    fitted(epochs=1).save(folder)
    weights_file, seal = folder / "networks.safetensors", folder / "SHA256SUMS"
    sealed = sha256(weights_file)
    weights_file.write_bytes(pickle.dumps(Trap(trace)))
    if sealed_anew:
        seal.write_text(seal.read_text().replace(sealed, sha256(weights_file)))
    with pytest.raises((MotagsError, SafetensorError)):
        LocalModels.load(folder)
    assert not trace.exists()
    pickle.loads(weights_file.read_bytes())  # noqa: S301, shows that the trap is armed
    assert trace.exists()


def test_the_folder_names_tags_and_parameters_in_plain_json(tmp_path: Path) -> None:
    models = fitted(epochs=1)
    models.save(tmp_path / "local")
    about = json.loads((tmp_path / "local" / "config.json").read_text())
    assert about["tags"] == [tags.tolist() for tags in models.tags_]
    assert about["params"] == models.params.model_dump()

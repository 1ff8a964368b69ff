"""Mining against a brute-force triple loop; the direction, gradient and value of the loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor
from torch.nn.functional import normalize

from motags.paper.triplets import Ties, mine, triplet_loss

MARGIN = 0.25  # exact in binary: a distance on the rim of the margin is decided alike everywhere

Tags = list[set[int]]
Points = list[tuple[float, ...]]

# a coarse grid, so that equal distances, equal points and points on the rim are common
FILM = st.tuples(st.sets(st.integers(0, 3)), st.tuples(*[st.integers(0, 5).map(lambda i: i / 8)] * 2))
BATCH = st.lists(FILM, max_size=8)
TIES = st.sampled_from(["drop", "keep"])


def matrices(tags: Tags, points: Points) -> tuple[Tensor, Tensor]:
    shape = (len(tags), len(tags))
    distances = [[math.dist(p, q) for q in points] for p in points]
    shared = [[len(p & q) for q in tags] for p in tags]
    return torch.tensor(distances, dtype=torch.float64).reshape(shape), torch.tensor(shared).int().reshape(shape)


def mined(tags: Tags, points: Points, ties: Ties) -> list[tuple[int, int, int]]:
    return list(zip(*(rows.tolist() for rows in mine(*matrices(tags, points), MARGIN, ties)), strict=True))


def brute_force(tags: Tags, points: Points, ties: Ties) -> dict[tuple[int, int], set[int]]:
    """For each (anchor, positive) the negatives that may be taken: several where they are equally near."""
    taken: dict[tuple[int, int], set[int]] = {}
    for a in range(len(tags)):
        for p in range(len(tags)):
            semi_hard, hard = {}, {}
            for n in range(len(tags)):
                more = len(tags[a] & tags[n]) - len(tags[a] & tags[p])
                if len({a, p, n}) < 3 or not tags[a] & tags[p] or more > 0 or (more == 0 and ties == "drop"):
                    continue
                near, far = math.dist(points[a], points[p]), math.dist(points[a], points[n])
                if near < far < near + MARGIN:
                    semi_hard[n] = far
                elif far <= near:
                    hard[n] = far
            if of := semi_hard or hard:
                taken[a, p] = {n for n in of if of[n] == min(of.values())}
    return taken


def random_batch(b: int, seed: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return normalize(torch.randn(b, 6)).requires_grad_(), (torch.rand(b, 8) < 0.3).float()


def at(*degrees: float) -> Tensor:
    """Films on the unit circle; the distance of two is 2 sin(half their angle)."""
    radians = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([radians.cos(), radians.sin()], 1).requires_grad_()


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


# anchor and positive share the first tag, the negative has the second
THREE_FILMS = torch.tensor([[1, 0], [1, 0], [0, 1]])


@settings(max_examples=400)
@given(batch=BATCH, ties=TIES)
def test_mining_equals_brute_force(batch: list, ties: Ties) -> None:
    tags, points = [film[0] for film in batch], [film[1] for film in batch]
    triplets, allowed = mined(tags, points, ties), brute_force(tags, points, ties)
    assert sorted((a, p) for a, p, _ in triplets) == sorted(allowed)
    assert all(n in allowed[a, p] for a, p, n in triplets)


@pytest.mark.parametrize("ties", ["drop", "keep"])
@pytest.mark.parametrize("seed", range(3))
def test_mining_a_whole_batch_equals_brute_force(ties: Ties, seed: int) -> None:
    embeddings, labels = random_batch(32, seed)
    points, tags = [tuple(row) for row in embeddings.tolist()], [set(row.nonzero()[:, 0].tolist()) for row in labels]
    triplets, allowed = mined(tags, points, ties), brute_force(tags, points, ties)
    assert len(triplets) > 100
    assert {(a, p): {n} for a, p, n in triplets} == allowed


@settings(max_examples=300)
@given(batch=BATCH, ties=TIES)
def test_every_triplet_obeys_the_rule(batch: list, ties: Ties) -> None:
    tags, points = [film[0] for film in batch], [film[1] for film in batch]
    for a, p, n in mined(tags, points, ties):
        assert len({a, p, n}) == 3
        shared_p, shared_n = len(tags[a] & tags[p]), len(tags[a] & tags[n])
        assert shared_p > 0
        assert shared_n < shared_p or (ties == "keep" and shared_n == shared_p)
        assert math.dist(points[a], points[n]) < math.dist(points[a], points[p]) + MARGIN


def test_semi_hard_is_preferred_to_a_nearer_negative() -> None:
    tags, points = [{0}, {0}, {1}, {1}, {1}], [(0.0,), (0.5,), (0.1,), (0.625,), (0.6875,)]
    assert (0, 1, 3) in mined(tags, points, "drop")


def test_without_a_semi_hard_one_the_nearest_valid_negative_is_taken() -> None:
    tags, points = [{0}, {0}, {1}, {1}, {1}], [(0.0,), (0.5,), (0.1,), (0.2,), (0.75,)]
    assert (0, 1, 2) in mined(tags, points, "drop")


def test_a_negative_on_the_rim_of_the_margin_is_left_alone() -> None:
    assert mined([{0}, {0}, {1}], [(0.0,), (-0.5,), (0.75,)], "drop") == []


def test_a_negative_that_shares_as_many_tags_is_taken_with_ties_kept_only() -> None:
    tags, points = [{0, 1}, {0}, {1}], [(0.0,), (0.25,), (0.375,)]
    # seen from the second or third film, the other of the two shares no tag
    assert mined(tags, points, "drop") == [(1, 0, 2), (2, 0, 1)]
    assert mined(tags, points, "keep") == [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 0, 1)]


def test_a_film_that_shares_more_tags_than_the_positive_is_no_negative() -> None:
    tags, points = [{0, 1}, {0}, {0, 1}], [(0.0,), (0.25,), (0.375,)]
    pairs = {(a, p): n for a, p, n in mined(tags, points, "keep")}
    assert (0, 1) not in pairs
    assert pairs[0, 2] == 1


def test_the_loss_of_three_films_is_the_one_computed_by_hand() -> None:
    found = triplet_loss(at(0, 20, 30), THREE_FILMS, margin=0.2)
    from_anchor, from_positive = chord(20) - chord(30) + 0.2, chord(20) - chord(10) + 0.2
    assert found.loss.item() == pytest.approx((from_anchor + from_positive) / 2, abs=1e-6)
    assert (found.triplets, found.anchors) == (2, 2)


def test_a_swapped_triplet_costs_more() -> None:
    right, swapped = (triplet_loss(at(*angles), THREE_FILMS, 0.2).loss for angles in ((0, 20, 30), (0, 30, 20)))
    assert swapped > right > 0


def test_a_met_margin_costs_nothing() -> None:
    embeddings = at(0, 5, 180)
    found = triplet_loss(embeddings, THREE_FILMS, 0.2)
    found.loss.backward()
    assert (found.loss.item(), found.triplets, found.anchors) == (0, 0, 0)
    assert embeddings.grad.tolist() == [[0, 0]] * 3


def test_a_wider_margin_costs_more() -> None:
    narrow, wide = (triplet_loss(at(0, 20, 30), THREE_FILMS, margin).loss for margin in (0.2, 0.4))
    assert wide.item() == pytest.approx(narrow.item() + 0.2, abs=1e-6)


def test_the_gradient_reaches_anchor_positive_and_negative_and_lowers_the_loss() -> None:
    embeddings = at(0, 20, 30)
    before = triplet_loss(embeddings, THREE_FILMS, 0.2).loss
    before.backward()
    assert (embeddings.grad.norm(dim=1) > 0.1).all()
    assert triplet_loss(embeddings.detach() - 0.01 * embeddings.grad, THREE_FILMS, 0.2).loss < before


@pytest.mark.parametrize("labels", [torch.eye(4), torch.ones(4, 1), torch.zeros(4, 2)])
def test_without_a_triplet_loss_and_gradient_are_zero(labels: Tensor) -> None:
    embeddings = at(0, 1, 2, 3)
    found = triplet_loss(embeddings, labels, 0.2)
    found.loss.backward()
    assert (found.loss.item(), found.triplets, found.anchors) == (0, 0, 0)
    assert embeddings.grad.tolist() == [[0, 0]] * 4


@pytest.mark.parametrize("b", [0, 1])
def test_a_batch_of_no_or_one_film_has_loss_and_gradient_zero(b: int) -> None:
    embeddings = at(*[10] * b)
    found = triplet_loss(embeddings, torch.ones(b, 3), 0.2)
    found.loss.backward()
    assert (found.loss.item(), found.triplets) == (0, 0)
    assert embeddings.grad.tolist() == [[0, 0]] * b


def test_films_with_one_and_the_same_embedding_cost_the_margin_with_a_finite_gradient() -> None:
    embeddings = at(30, 30, 30)
    found = triplet_loss(embeddings, THREE_FILMS, 0.2)
    found.loss.backward()
    assert found.loss.item() == pytest.approx(0.2)
    assert embeddings.grad.isfinite().all()


@pytest.mark.parametrize("ties", ["drop", "keep"])
@pytest.mark.parametrize("margin", [0.05, 0.2, 0.7])
def test_loss_and_gradient_equal_pytorch_metric_learning_on_the_same_triplets(ties: Ties, margin: float) -> None:
    embeddings, labels = random_batch(20, seed=7)
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist").detach()
    indices = mine(distances, (labels @ labels.T).int(), margin, ties)
    # its defaults would normalise once more and leave triplets without loss out of the mean
    reference = TripletMarginLoss(margin, distance=LpDistance(normalize_embeddings=False), reducer=MeanReducer())
    theirs = reference(embeddings, indices_tuple=tuple(indices))
    found = triplet_loss(embeddings, labels, margin, ties)
    assert found.triplets == len(indices.anchor) > 50
    assert found.anchors == len(set(indices.anchor.tolist()))
    assert found.loss.item() == pytest.approx(theirs.item(), abs=1e-6)
    ours, expected = (torch.autograd.grad(loss, embeddings)[0] for loss in (found.loss, theirs))
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-4)

"""Which (anchor, positive, negative) are valid and semi-hard, and the loss on them."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Ties = Literal["drop", "keep"]


class Triplets(NamedTuple):
    """m triplets as rows of the batch: three (m,) int64 tensors."""

    anchor: Tensor
    positive: Tensor
    negative: Tensor


def mine(distances: Tensor, shared: Tensor, margin: float, ties: Ties = "drop") -> Triplets:
    """The semi-hard triplets of a batch, at most one for each (anchor, positive) (paper, section 3).

    A positive shares a tag with the anchor. A negative is valid if it shares fewer tags with the
    anchor than the positive does; with `ties="keep"` it may share as many. It is semi-hard if
    d(a,p) < d(a,n) < d(a,p) + margin; of these the nearest to the anchor is taken (FaceNet, Schroff
    et al. 2015). Where there is none, the hardest valid negative, the nearest of all, is taken;
    where no valid negative lies inside the margin, the pair is skipped.

    Args:
        distances: (b, b) float, between the embeddings of the batch.
        shared: (b, b) int, how many tags two films share; the diagonal holds each film's own count.
        margin: in units of distance.
    """
    b = len(distances)
    self_pair = torch.eye(b, dtype=torch.bool, device=distances.device)
    anchor, positive = ((shared > 0) & ~self_pair).nonzero(as_tuple=True)  # (m,)
    to_positive = distances[anchor, positive][:, None]  # (m, 1)
    to_negative = distances[anchor]  # (m, b)
    in_positive = shared[anchor, positive][:, None]  # (m, 1)
    in_negative = shared[anchor]  # (m, b)
    fewer = in_negative <= in_positive if ties == "keep" else in_negative < in_positive
    other = ~self_pair[anchor] & ~self_pair[positive]
    inside = fewer & other & (to_negative < to_positive + margin)  # (m, b)
    semi_hard = inside & (to_negative > to_positive)
    chosen = torch.where(semi_hard.any(1, keepdim=True), semi_hard, inside)
    nearest = to_negative.masked_fill(~chosen, torch.inf).argmin(1) if b else anchor
    has_negative = chosen.any(1)
    return Triplets(anchor[has_negative], positive[has_negative], nearest[has_negative])


class TripletLoss(NamedTuple):
    """The mean loss of a batch, how many triplets it has, and how many films are anchor of one."""

    loss: Tensor
    triplets: int
    anchors: int


def triplet_loss(embeddings: Tensor, labels: Tensor, margin: float, ties: Ties = "drop") -> TripletLoss:
    """Mean of max(0, d(a,p) - d(a,n) + margin) over the mined triplets, d Euclidean.

    Without a triplet the loss is 0 and its gradient is 0.

    Args:
        embeddings: (b, d) float of unit length.
        labels: (b, t) float or bool, 1 where the film bears the tag.
    """
    embeddings, labels = embeddings.float(), labels.float()
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")  # (b, b)
    triplets = mine(distances.detach(), (labels @ labels.T).round().int(), margin, ties)
    if not len(triplets.anchor):
        return TripletLoss(embeddings.sum() * 0.0, 0, 0)
    losses = distances[triplets.anchor, triplets.positive] - distances[triplets.anchor, triplets.negative] + margin
    return TripletLoss(losses.clamp(min=0).mean(), len(triplets.anchor), len(triplets.anchor.unique()))

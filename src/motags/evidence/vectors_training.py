"""Training of `vectors`: one regression a tag, all at once, on standardised vectors."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from motags.evidence.vectors import Vectors, standardised
from motags.films.text import Entry
from motags.params import Params

FOLDS = 5  # of the held-out logits
LEAST_FILMS = 20  # with a vector, below which nothing is learned
ITERATIONS = 60  # of L-BFGS


class VectorsParams(Params):
    """Section `tagger.vectors` of params.yaml; `files` are read by `vector_files`, before the training."""

    files: list[Annotated[str, Field(min_length=1)]]
    penalty: Annotated[float, Field(gt=0)]


def fit_vectors(
    name: str, films: Sequence[Entry], Y: np.ndarray, rows: np.ndarray, params: VectorsParams, seed: int
) -> tuple[Vectors, np.ndarray] | None:
    """Learn from those of n films that have a vector of this name, and Y (n, t) bool; None where they are too few.

    Args:
        rows: (m,) of films whose evidence by models that have not seen them is wanted.

    Returns:
        The model, and that evidence, (m, 1, t) float32, NaN where there is no vector.
    """
    rows_with_vector = np.array([row for row, film in enumerate(films) if name in film.vectors], dtype=np.int64)
    if len(rows_with_vector) < LEAST_FILMS:
        return None
    vectors = np.stack([films[row].vectors[name] for row in rows_with_vector]).astype(np.float32)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(rows_with_vector))
    logits = np.full((len(films), 1, Y.shape[1]), np.nan, dtype=np.float32)
    for k in range(FOLDS):
        held = fold == k
        model = _fit(name, vectors[~held], Y[rows_with_vector[~held]], params)
        X = standardised(vectors[held], model.mean, model.deviation)
        logits[rows_with_vector[held], 0] = X @ model.coef + model.intercept
    return _fit(name, vectors, Y[rows_with_vector], params), logits[rows]


def _fit(name: str, vectors: np.ndarray, Y: np.ndarray, params: VectorsParams) -> Vectors:
    mean, deviation = vectors.mean(0), np.maximum(vectors.std(0), np.finfo(np.float32).eps)
    X = torch.as_tensor(standardised(vectors, mean, deviation))
    labels = torch.as_tensor(Y, dtype=torch.float32)
    share = torch.as_tensor((Y.sum(0) + 0.5) / (len(Y) + 1), dtype=torch.float32)
    coef = torch.zeros(X.shape[1], labels.shape[1], requires_grad=True)
    intercept = torch.logit(share).requires_grad_()
    optimizer = torch.optim.LBFGS([coef, intercept], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = binary_cross_entropy_with_logits(X @ coef + intercept, labels, reduction="sum")
        value = value + params.penalty * coef.square().sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    return Vectors(name, mean, deviation, coef.detach().numpy(), intercept.detach().numpy())

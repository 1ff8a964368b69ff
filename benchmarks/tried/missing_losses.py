"""What losses for missing tags give: a tag that the catalogue does not name may be true all the same.

    PYTHONPATH=benchmarks/quality python benchmarks/tried/missing_losses.py ../shared/real/motags.jsonl.gz

An encoder is tuned on all folds of the training films but the first and scored on the first, as in ablation.py; the
losses differ in what they make of the pairs that are not given. These films' own labels lack as many tags, so a loss
that finds more of them can look worse than it is, but P@1 and mean AP would hardly fall.
"""

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from ablation import Study, print_rows, study_asked_for
from motags.dataset.split import folds_of
from unlabelled import where_sure

SMOOTHED = 0.02  # what a tag counts that is not given
LIKELY = 0.3  # score by a model that has not seen the film, from which a tag that is not given is left out
LAMBDA = 1.5  # of the Hill loss
SELF_PACED = 0.6  # score from which a tag that is not given counts as given


def smoothed(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    """Binary cross-entropy; a tag that is not given counts as a little given."""
    return binary_cross_entropy_with_logits(logits, labels.clamp(min=SMOOTHED), reduction=reduction)


def hill(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    """Cross-entropy of the given tags; of the others the Hill loss (Zhang et al. 2021): flat where p is high."""
    assert reduction == "none"  # noqa: S101, as `tune` asks for it
    p = torch.sigmoid(logits)
    return -labels * logsigmoid(logits) + (1 - labels) * (LAMBDA - p) * p.square()


class SelfPaced:
    """Self-paced loss correction (Zhang et al. 2021): after some steps, what scores high counts as given."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
        """Binary cross-entropy with the labels so corrected."""
        self.left -= 1
        if self.left < 0:
            labels = torch.where(torch.sigmoid(logits.detach()) > SELF_PACED, 1.0, labels)
        return binary_cross_entropy_with_logits(logits, labels, reduction=reduction)


def without_likely(study: Study) -> np.ndarray:
    """Logits of the first fold, by an encoder that does not learn from tags that are likely and not given."""
    seen, held = np.flatnonzero(study.fold != 0), np.flatnonzero(study.fold == 0)
    Y = study.Y[seen].astype(np.float32)
    inner = folds_of([study.texts[i] for i in seen], study.Y[seen], study.tagger.folds, study.seed)
    for k in range(study.tagger.folds):
        apart = inner == k
        others = seen[~apart]
        likely = expit(study.logits_by(others, study.Y[others], seen[apart], study.attention(others))) >= LIKELY
        Y[apart] = np.where(likely & (Y[apart] == 0), np.nan, Y[apart])
    return study.logits_by(seen, Y, held, study.attention(seen), loss=where_sure)


def main() -> None:
    """Print the rows as they come."""
    study = study_asked_for(__doc__)
    steps = -(-int((study.fold != 0).sum()) // study.tagger.encoder.batch_size)  # of one pass over the films
    variants = {
        "binary cross-entropy (shipped)": lambda: study.logits(0, study.attention),
        f"a tag that is not given counts {SMOOTHED:g}": lambda: study.logits(0, study.attention, loss=smoothed),
        "Hill loss": lambda: study.logits(0, study.attention, loss=hill),
        "self-paced correction after one pass": lambda: study.logits(0, study.attention, loss=SelfPaced(steps)),
        f"tags not given that score {LIKELY:g} or more left out": lambda: without_likely(study),
    }
    print_rows(study, variants)


if __name__ == "__main__":
    main()

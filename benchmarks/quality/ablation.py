"""What each part of motags gives, and what was tried and left out: a row each, on training films alone.

    python benchmarks/quality/ablation.py ../shared/real/motags.jsonl.gz

The training films (validation films included) of the split with `seed` are dealt to the folds of `tagger.folds`. The
encoder's rows are trained on all folds but the first and scored on the first; the ranker's rows are scored on all
films, each by models that have not seen it. The test films are not read. F1 is that of the best common threshold
(which serves all rows alike), but in the rows of the decision rule.
"""

import argparse
import logging
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit, logit
from sentence_transformers import SentenceTransformer
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from motags.dataset.split import folds_of
from motags.evaluation.metrics import best_thresholds, calibration_error, f1_per_tag, macro_auc, micro_f1
from motags.evidence.encoder_training import States, logits_of, lower_states, tune
from motags.evidence.label_attention import TagAttention, mean_state, tag_vectors, top_layers
from motags.evidence.names_training import fit_names
from motags.evidence.words_training import fit_words
from motags.paper.embedder import encode, layers_of, pretrained
from motags.paper.triplets import triplet_loss
from motags.params import PARAMS, read_params
from motags.tagger import ranker
from motags.tagger.training import cross_fitted
from peers import COMMON_ONLY, ROOT, Bench
from tuned_methods import PlainHead, asymmetric

HEAD = "| | micro F1 | macro F1 | mean AP | AUC | P@1 | P@3 | ECE |\n| --- " + "| --: " * 7 + "|"
RIDGE, LEAST = 1000.0, 1e-4  # penalty of what tags say of each other; score that counts as none
TRIPLETS = 10.0  # weight of the triplet loss beside that of a film's tags, some 8


class WithEmbedding(nn.Module):
    """A head and the embedding that stands beside it, (b, t + d), for a loss on both."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, states: Tensor, there: Tensor) -> Tensor:
        """Logits and unit embeddings (b, t + d) of states (b, T, d) and which of them are there (b, T)."""
        return torch.cat([self.head(states, there), normalize(mean_state(states, there), dim=-1)], dim=1)


def with_triplets(answers: Tensor, labels: Tensor, reduction: str, margin: float) -> Tensor:
    """Cross-entropy of the tags, and the batch's triplet loss shared out over them, (b, t)."""
    t = labels.shape[1]
    triplets = triplet_loss(answers[:, t:], labels, margin).loss
    return binary_cross_entropy_with_logits(answers[:, :t], labels, reduction=reduction) + TRIPLETS * triplets / t


class Study:
    """The training films of one split, dealt to folds, and an encoder: params.yaml's, or another by its folder."""

    def __init__(self, catalogue: Path, encoder: str | None = None) -> None:
        self.bench = Bench.of_films(catalogue, out=Path(), encoder=encoder)
        self.seed = read_params(ROOT / PARAMS, {"seed": int})["seed"]
        rows = self.bench.rows(self.seed)
        known = self.bench.corpus.part(np.sort(np.concatenate([rows["train"], rows["validation"]])))
        self.texts, self.Y, self.tags = known.texts, known.Y, known.tags
        self.embedder, self.tagger = self.bench.params["embedder"], self.bench.params["tagger"]
        self.fold = folds_of(self.texts, self.Y, self.tagger.folds, self.seed)
        self.encoder = pretrained(self.embedder)

    @lru_cache(maxsize=1)  # noqa: B019, a study lasts as long as its process
    def states(self, trained_layers: int) -> States:
        """What all films are below the trained layers."""
        return lower_states(self.encoder, self.texts, self.embedder, trained_layers)

    def start(self, *, described: bool, encoder: SentenceTransformer | None = None) -> np.ndarray:
        """What the tags start from, (t, d): their names, with or without descriptions, as an encoder embeds them."""
        pairs = zip(self.tags, self.bench.descriptions, strict=True)
        said = [f"{tag}. {description}" if described else tag for tag, description in pairs]
        return tag_vectors(encoder or self.encoder, said, self.embedder)

    def attention(
        self, seen: np.ndarray, *, described: bool = True, encoder: SentenceTransformer | None = None
    ) -> TagAttention:
        """The shipped head, or the one that knows the tags' names only; on the study's encoder, or on another."""
        start = self.start(described=described, encoder=encoder)
        return TagAttention(start, ranker.share(self.Y[seen]), self.tagger.encoder.dropout)

    def plain(self, seen: np.ndarray) -> PlainHead:
        """The usual head, which knows nothing of the tags."""
        torch.manual_seed(self.seed)
        width = self.encoder.get_embedding_dimension()
        assert width is not None  # noqa: S101, every encoder has one
        return PlainHead(width, self.Y[seen].shape[1], self.tagger.encoder.dropout)

    def logits(
        self, k: int, head: Callable[[np.ndarray], nn.Module], *, layers: int | None = None,
        loss: Callable[..., Tensor] = binary_cross_entropy_with_logits,
    ) -> np.ndarray:  # fmt: skip
        """Logits of the films of fold k, by an encoder tuned on the others."""
        seen, held = np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)
        return self.logits_by(seen, self.Y[seen], held, head(seen), layers=layers, loss=loss)

    def logits_by(
        self, seen: np.ndarray, Y: np.ndarray, asked: np.ndarray, head: nn.Module, *, layers: int | None = None,
        loss: Callable[..., Tensor] = binary_cross_entropy_with_logits,
    ) -> np.ndarray:  # fmt: skip
        """Logits of the films `asked`, by an encoder tuned on the films `seen` with labels Y."""
        trained = layers or self.tagger.encoder.trained_layers
        params, top, states = self.tagger.encoder, top_layers(self.encoder, trained), self.states(trained)
        model = tune(top, head, states.part(seen), Y, params, self.embedder, self.seed, loss)
        return logits_of(model, states.part(asked), self.embedder)[:, : self.Y.shape[1]]

    def evidence(self) -> dict[str, np.ndarray]:
        """The evidence of each kind on all films, (n, t) each, by models that have not seen them."""
        logits = {name: np.empty(self.Y.shape, dtype=np.float32) for name in ("encoder", "words", "clusters")}
        X = encode(self.encoder, self.texts, self.embedder)
        for k in range(self.tagger.folds):
            seen, held = np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)
            logits["encoder"][held] = self.logits(k, self.attention)
            words = fit_words([self.texts[row] for row in seen], self.Y[seen], self.tagger.words, self.seed)
            logits["words"][held] = words.logits([self.texts[row] for row in held])
            logits["clusters"][held] = self._soft_clusters(X, seen, held)
        mentions = fit_names(self.texts, self.tags, self.bench.descriptions).cosines(self.texts)
        return logits | {"name": mentions[:, 0], "description": mentions[:, 1]}

    def _soft_clusters(self, X: np.ndarray, seen: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Each tag's share of the films of the clusters that a film lies near, near ones weighing more."""
        kmeans = KMeans(self.bench.params["clusterer"].k, n_init=3, random_state=self.seed).fit(X[seen])
        member = np.eye(kmeans.n_clusters)[kmeans.labels_]  # (n, k)
        share = (member.T @ self.Y[seen] + self.Y[seen].mean(0)) / (member.sum(0)[:, None] + 1)  # (k, t)
        nearness = np.exp(-20 * kmeans.transform(X[held]) ** 2)
        return np.log(nearness / nearness.sum(1, keepdims=True) @ share + 1e-6)

    def ranked(self, evidence: list[np.ndarray]) -> np.ndarray:
        """Scores (n, t) of all films by rankers that have not seen them."""
        return cross_fitted(np.stack(evidence, axis=1), self.Y, self.fold, self.tagger.ranker, self.seed)

    def together(self, S: np.ndarray) -> np.ndarray:
        """Scores (n, t) of a second ranker, told by a regression what all tags' scores say of each tag's error."""
        error = np.empty_like(S)
        for k in range(self.tagger.folds):
            seen, held = self.fold != k, self.fold == k
            error[held] = Ridge(RIDGE).fit(S[seen], self.Y[seen] - S[seen]).predict(S[held])
        return self.ranked([logit(np.clip(S, LEAST, 1 - LEAST)), error])


def measured(Y: np.ndarray, S: np.ndarray, thresholds: np.ndarray | float) -> list[float]:
    """The figures of a line of the table, in the order of HEAD, of scores S (n, t)."""
    P = thresholds <= S
    borne = Y.any(0)
    top = np.argsort(-S, axis=1)[:, :3]
    hit = np.take_along_axis(Y, top, axis=1)
    return [
        micro_f1(Y, P), f1_per_tag(Y, P).mean(), average_precision_score(Y[:, borne], S[:, borne]), macro_auc(Y, S),
        hit[:, 0].mean(), hit.mean(), calibration_error(Y, S),
    ]  # fmt: skip


def row(name: str, Y: np.ndarray, S: np.ndarray, thresholds: np.ndarray | None = None) -> str:
    """A line of the table; logits are as good as scores, but for the calibration error."""
    if S.min() < 0:
        S = expit(S)
    figures = measured(Y, S, best_thresholds(Y, S, COMMON_ONLY) if thresholds is None else thresholds)
    return " | ".join(["", name, *(f"{figure:.3f}" for figure in figures), ""]).strip()


def study_asked_for(description: str | None) -> Study:
    """The study of the catalogue that the command line names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    logging.basicConfig(level=logging.WARNING)
    return Study(parser.parse_args().catalogue)


def print_rows(study: Study, variants: dict[str, Callable[[], np.ndarray]]) -> None:
    """Print the table of encoders as its rows come; each variant gives logits of the first fold."""
    held = study.Y[study.fold == 0]
    print(HEAD, flush=True)
    for name, make in variants.items():
        print(row(name, held, make()), flush=True)


def main() -> None:
    """Print the rows as they come."""
    study = study_asked_for(__doc__)
    variants: dict[str, Callable[[], np.ndarray]] = {
        "encoder, plain head": lambda: study.logits(0, study.plain),
        "encoder, tag attention from names": lambda: study.logits(
            0, lambda seen: study.attention(seen, described=False)
        ),
        "encoder, tag attention from names and descriptions (shipped)": lambda: study.logits(0, study.attention),
        "the same, asymmetric loss": lambda: study.logits(0, study.attention, loss=asymmetric),
        "the same, triplets trained at once": lambda: study.logits(
            0,
            lambda seen: WithEmbedding(study.attention(seen)),
            loss=partial(with_triplets, margin=study.embedder.margin),
        ),
        "the same, all layers trained": lambda: study.logits(0, study.attention, layers=len(layers_of(study.encoder))),
    }
    print_rows(study, variants)
    said = study.evidence()
    for names in (["words"], ["encoder"], ["encoder", "words"], ["encoder", "words", "name", "description"],
                  ["encoder", "words", "name", "description", "clusters"]):  # fmt: skip
        print(row(f"all films, ranker on {', '.join(names)}", study.Y, study.ranked([said[one] for one in names])))
    S = study.ranked([said[name] for name in ("encoder", "words", "name", "description")])
    print(row("shipped, a second ranker on what goes together", study.Y, study.together(S)))
    shrunk = best_thresholds(study.Y, S, study.bench.params["evaluate"].shrinkage)
    print(row("shipped, thresholds per tag tuned on these films (optimistic)", study.Y, S, shrunk))
    for macro in (0.0, 0.3, study.tagger.ranker.macro, 1.0):
        print(row(f"shipped, expected F1, macro {macro:g}", study.Y, S, ranker.thresholds_of(S, macro)))


if __name__ == "__main__":
    main()

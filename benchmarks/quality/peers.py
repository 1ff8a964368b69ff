"""How good motags is beside its peers, on the same films, splits and labels: one table, and paired intervals.

    python benchmarks/quality/peers.py ../shared/real/motags.jsonl.gz --out results/peers

For each seed the films are split as the stage `split` does it. A peer's settings are tuned on the validation films
(its grid in peer_methods.py; the best mean of micro- and macro-F1), then it is trained again on training and
validation films. Those that tune an encoder (tuned_methods.py) take minutes a training: they have one setting and
are trained once, on the training films. motags gets all these films and tunes nothing: its settings are those of
params.yaml, its thresholds come from its own cross-fitting.

A peer has two decision rules, both from the validation films: its micro-F1 is that of one threshold for all tags, its
macro-F1 that of a threshold a tag (shrunk to the common one). motags has one rule for both. An interval is of the
mean difference over the seeds, when the films of the catalogue are resampled.

The settings in params.yaml were chosen on the training films of seed 42; the test films of other seeds are among these.

What each method answers is kept under --out, so that a run that was stopped goes on, and the tables can be had
again (`--methods ''`). The slow ones can be asked for on fewer seeds; a table shows the methods that have all seeds
of `--seeds`.
"""

import argparse
import hashlib
import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.model_selection import ParameterGrid

from motags.artifacts import replacing
from motags.dataset.corpus import Corpus
from motags.dataset.fuse import DatasetParams, fuse
from motags.dataset.split import SplitParams, split
from motags.dataset.tag_vocabulary import read_descriptions, read_synonyms
from motags.evaluation.metrics import (
    EvaluateParams,
    Evaluator,
    MethodScores,
    best_thresholds,
    decide,
    f1_per_tag,
    interval,
    micro_f1,
    resamples,
)
from motags.films.catalogue import read_catalogue
from motags.films.film import Film
from motags.paper.clusterer import ClustererParams
from motags.paper.embedder import EmbedderParams, encode, pretrained
from motags.paper.local_models import LocalModelsParams
from motags.params import PARAMS, read_params
from motags.tagger.training import TaggerParams
from peer_methods import PEERS, Films
from tuned_methods import METHODS, Case, Result

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    "dataset": DatasetParams, "split": SplitParams, "embedder": EmbedderParams, "clusterer": ClustererParams,
    "local_models": LocalModelsParams, "tagger": TaggerParams, "evaluate": EvaluateParams,
}  # fmt: skip
SHOWN = {
    "micro_f1_tuned": "micro F1", "macro_f1_tuned": "macro F1", "macro_f1_tail_tuned": "tail F1", "p_at_1": "P@1",
    "p_at_3": "P@3", "p_at_5": "P@5", "ndcg_at_5": "nDCG@5", "psp_at_5": "PSP@5", "macro_auc": "AUC",
    "calibration_error": "ECE", "train_seconds": "training, s", "predict_seconds": "test films, s", "megabytes": "MB",
}  # fmt: skip
COMPARED = ["micro_f1_tuned", "macro_f1_tuned", "p_at_1", "p_at_3", "p_at_5", "ndcg_at_5", "psp_at_5"]
COMMON_ONLY = 1e12  # films of shrinkage: every tag follows the common threshold

MICRO = "micro_f1_tuned"

log = logging.getLogger("peers")


def fused(catalogue: Path) -> tuple[list[Film], pd.DataFrame]:
    """The films of a catalogue, and the frame that the stage `dataset` makes of them."""
    films, _ = read_catalogue(catalogue, 1.0)
    params = read_params(ROOT / PARAMS, {"dataset": DatasetParams})["dataset"]
    return films, fuse(films, read_synonyms(ROOT / "data/synonyms.csv"), params)[0]


class Bench:
    """One catalogue, its splits, and what each method answered."""

    def __init__(self, corpus: Corpus, descriptions: list[str], out: Path, encoder: str | None = None) -> None:
        self.params = read_params(ROOT / PARAMS, SECTIONS)
        self.corpus, self.descriptions = corpus, descriptions
        self.out = out / f"{self.corpus.digest}-{self._settings()}"
        if encoder:  # it stands in the answers' names
            self.params["embedder"] = self.params["embedder"].model_copy(update={"model": encoder})

    @classmethod
    def of_films(cls, catalogue: Path, out: Path, encoder: str | None = None) -> Self:
        """The bench of a catalogue of films, as the stage `dataset` reads it."""
        corpus = Corpus.from_frame(fused(catalogue)[1])
        return cls(corpus, read_descriptions(ROOT / "data/descriptions.csv", corpus.tags), out, encoder)

    def _settings(self) -> str:
        """Says whether answers kept are to the same question."""
        sections = {name: params.model_dump() for name, params in sorted(self.params.items())}
        return hashlib.sha256(json.dumps([sections, self.descriptions]).encode()).hexdigest()[:8]

    @lru_cache(maxsize=16)  # noqa: B019, one bench a process
    def rows(self, seed: int) -> dict[str, np.ndarray]:
        """The rows of each part in the split of a seed."""
        part = split(self.corpus, self.params["split"], seed)
        return {name: np.flatnonzero(part == name) for name in ("train", "validation", "test")}

    def answered(self, name: str, seed: int) -> Result | None:
        """What a method answered, if it has been asked."""
        path = self.out / f"{name}-{seed}.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as kept:
            arrays = {key: kept[key] for key in kept.files}
        plain = {key: arrays[key].item() for key in ("train_seconds", "predict_seconds", "model_bytes")}
        return Result(arrays["validation"], arrays["test"], **plain, thresholds=arrays.get("thresholds"))

    def ask(self, name: str, method: str, seed: int) -> None:
        """Train a method on the split of a seed and keep what it answers, under `name`."""
        rows = self.rows(seed)
        self.out.mkdir(parents=True, exist_ok=True)
        result = METHODS[method](self._case(rows, seed)) if method in METHODS else self._tuned_peer(method, rows, seed)
        kept = {key: value for key, value in result._asdict().items() if value is not None}
        with replacing(self.out / f"{name}-{seed}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **kept)

    def _case(self, rows: dict[str, np.ndarray], seed: int) -> Case:
        train, validation, test = (self.corpus.part(rows[name]) for name in ("train", "validation", "test"))
        sections = {name: self.params[name] for name in ("tagger", "embedder", "clusterer", "local_models")}
        return Case(
            train.texts, train.Y, validation.texts, validation.Y, test.texts, self.corpus.tags, self.descriptions,
            **sections, seed=seed,
        )  # fmt: skip

    def _tuned_peer(self, name: str, rows: dict[str, np.ndarray], seed: int) -> Result:
        function, grid = PEERS[name]
        X, Y = self._frozen(), self.corpus.Y
        films = {part: Films(self.corpus.part(own).texts, X[own]) for part, own in rows.items()}
        both = np.concatenate([rows["train"], rows["validation"]])
        tried = []
        for settings in ParameterGrid(grid):
            S = function(films["train"], Y[rows["train"]], films["validation"], seed, **settings).scores
            tried.append((self._tuned_f1(Y[rows["validation"]], S), settings, S))
        _, settings, validation = max(tried, key=lambda one: one[0])
        log.info("%s, seed %d: %s", name, seed, json.dumps(settings))
        known = Films(self.corpus.part(both).texts, X[both])
        return Result(validation, *function(known, Y[both], films["test"], seed, **settings))

    def _tuned_f1(self, Y: np.ndarray, S: np.ndarray) -> float:
        P = decide(S, best_thresholds(Y, S, self.params["evaluate"].shrinkage))
        return micro_f1(Y, P) + float(f1_per_tag(Y, P).mean())

    def _frozen(self) -> np.ndarray:
        path = self.out / "frozen.npy"
        if not path.exists():
            embedder = self.params["embedder"]
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, encode(pretrained(embedder), self.corpus.texts, embedder))
        return np.load(path)

    def answers(self, result: Result, Y_validation: np.ndarray) -> tuple[MethodScores, MethodScores]:
        """A method's answer by the rule for micro-F1, and by the rule for macro-F1 and the rest."""
        rules = [result.thresholds, result.thresholds]
        if result.thresholds is None:
            shrinkages = (COMMON_ONLY, self.params["evaluate"].shrinkage)
            rules = [best_thresholds(Y_validation, result.validation, shrinkage) for shrinkage in shrinkages]
        common, own = (MethodScores(result.validation, result.test, thresholds) for thresholds in rules)
        return common, own

    def evaluator(self, seed: int) -> Evaluator:
        """Scores the test films of a seed; tags are head or tail by all films that methods may learn from."""
        Y, rows = self.corpus.Y, self.rows(seed)
        both = np.concatenate([rows["train"], rows["validation"]])
        return Evaluator(Y[both], Y[rows["validation"]], Y[rows["test"]], self.params["evaluate"])

    def row(self, name: str, seed: int) -> dict[str, float]:
        """All scores and costs of a method on the test films of a seed."""
        result, evaluator = self._given(name, seed), self.evaluator(seed)
        common, own = (evaluator.scores(answer) for answer in self.answers(result, evaluator.Y_validation))
        costs = {key: getattr(result, key) for key in ("train_seconds", "predict_seconds")}
        return own | {MICRO: common[MICRO]} | costs | {"megabytes": result.model_bytes / 1e6}

    def resampled(self, name: str, seed: int, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Scores (r,) of a method on the test films of a seed, the corpus's films weighted by weights (r, films)."""
        result, evaluator = self._given(name, seed), self.evaluator(seed)
        own_weights = weights[:, self.rows(seed)["test"]]
        common, own = (
            evaluator.resampled(answer, own_weights) for answer in self.answers(result, evaluator.Y_validation)
        )
        return own | {MICRO: common[MICRO]}

    def _given(self, name: str, seed: int) -> Result:
        result = self.answered(name, seed)
        assert result is not None, (name, seed)  # noqa: S101, the tables ask for what is there
        return result


def mean_table(bench: Bench, names: list[str], seeds: list[int]) -> pd.DataFrame:
    """Each method's scores and costs, the mean over the seeds."""
    means = {name: pd.DataFrame([bench.row(name, seed) for seed in seeds]).mean() for name in names}
    return pd.DataFrame({name: {title: mean[key] for key, title in SHOWN.items()} for name, mean in means.items()}).T


def interval_table(bench: Bench, name: str, others: list[str], seeds: list[int]) -> pd.DataFrame:
    """By how much `name` is ahead of each other method: 95 % intervals of the mean difference over the seeds."""
    weights = resamples(len(bench.corpus.ids), bench.params["evaluate"].resamples, seeds[0])
    drawn = {one: [bench.resampled(one, seed, weights) for seed in seeds] for one in [name, *others]}
    table: dict[str, dict[str, str]] = {}
    for other in others:
        table[other] = {}
        for key in COMPARED:
            ahead = [mine[key] - theirs[key] for mine, theirs in zip(drawn[name], drawn[other], strict=True)]
            ends = interval(np.mean(ahead, axis=0))
            table[other][SHOWN[key]] = f"{ends['low']:+.3f} … {ends['high']:+.3f}"
    return pd.DataFrame(table).T


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, scores to three places, costs to whole numbers."""

    def cell(value: Any) -> str:
        return value if isinstance(value, str) else f"{value:.0f}" if value >= 1 else f"{value:.3f}"

    head = ["", *table.columns]
    rows = [[str(name), *map(cell, row)] for name, *row in table.itertuples()]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] + ["--:"] * len(table.columns), *rows])


def main() -> None:
    """Ask the methods, then print the table of means and the paired intervals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", default=",".join([*PEERS, *METHODS]), help="comma-separated; all by default")
    parser.add_argument("--seeds", default="42,43,44,45,46")
    parser.add_argument("--encoder", help="embedder.model for the methods that tune an encoder, as motags@NAME")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for noisy in ("httpx", "sentence_transformers", "transformers", "accelerate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    bench = Bench.of_films(arguments.catalogue, arguments.out, arguments.encoder)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    methods = [name for name in arguments.methods.split(",") if name]
    known = METHODS if arguments.encoder else [*PEERS, *METHODS]
    if unknown := [name for name in methods if name not in known]:
        parser.error(f"--methods: {', '.join(unknown)} is none of {', '.join(known)}")
    suffix = f"@{Path(arguments.encoder).name}" if arguments.encoder else ""
    for seed in seeds:
        for method in methods:
            if bench.answered(method + suffix, seed) is None:
                log.info("%s, seed %d", method + suffix, seed)
                bench.ask(method + suffix, method, seed)
    asked = sorted({path.stem.rsplit("-", 1)[0] for path in bench.out.glob("*-*.npz")})
    names = [name for name in asked if all(bench.answered(name, seed) for seed in seeds)]
    print(markdown(mean_table(bench, names, seeds)), end="\n\n")
    for name in (name for name in names if name.startswith("motags")):
        print(f"{name} ahead of\n{markdown(interval_table(bench, name, [n for n in names if n != name], seeds))}\n")


if __name__ == "__main__":
    main()

"""How good motags is beside its peers, on the same films, splits and labels: one table, and paired intervals.

    python benchmarks/peers.py ../shared/real/motags.jsonl.gz --out results/peers

For each seed the films are split as the stage `split` does it. A peer's settings are tuned on the validation films
(its grid in peer_methods.py; the best mean of micro- and macro-F1), then it is trained again on training and
validation films. Those that tune an encoder (tuned_methods.py) take minutes a training: they have one setting and
are trained once, on the training films. motags gets all these films and tunes nothing: its settings are those of
params.yaml, its thresholds come from its own cross-fitting.

A peer has two decision rules, both from the validation films: one threshold, and one a tag (shrunk to the common
one). Its micro-F1 and macro-F1 are each of the rule that serves it better; motags has one rule for both.

What each method answers is kept under --out, so that a run that was stopped goes on, and the tables can be had
again. The slow ones can be asked for on fewer seeds: `--methods bce,asymmetric,ours,setfit --seeds 42`; a method is
compared on the seeds that it has.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import ParameterGrid

from motags.clusterer import ClustererParams
from motags.corpus import Corpus, DatasetParams, fuse
from motags.embedder import EmbedderParams, encode, pretrained
from motags.films import read_catalogue
from motags.local_models import LocalModelsParams
from motags.metrics import Answer, EvaluateParams, Scorer, best_thresholds, decide, f1_per_tag, micro_f1
from motags.stage import PARAMS, read_params
from motags.stratify import SplitParams, split
from motags.tagger import TaggerParams
from motags.vocabulary import read_descriptions, read_synonyms
from peer_methods import PEERS, Films
from tuned_methods import METHODS, Case, Result

ROOT = Path(__file__).resolve().parents[1]
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
NO_SHRINKAGE_AT_ALL = 1e12  # films: every tag follows the common threshold

log = logging.getLogger("peers")


class Bench:
    """One catalogue, its splits, and what each method answered."""

    def __init__(self, catalogue: Path, out: Path, encoder: str | None = None) -> None:
        self.params = read_params(ROOT / PARAMS, SECTIONS)
        if encoder:
            self.params["embedder"] = self.params["embedder"].model_copy(update={"model": encoder})
        films, _ = read_catalogue(catalogue, 1.0)
        frame, _ = fuse(films, read_synonyms(ROOT / "data/synonyms.csv"), self.params["dataset"])
        self.corpus = Corpus.from_frame(frame)
        self.descriptions = read_descriptions(ROOT / "data/descriptions.csv", self.corpus.tags)
        self.out = out / self.corpus.digest

    def rows(self, seed: int) -> dict[str, np.ndarray]:
        """The rows of each part in the split of a seed."""
        part = split(self.corpus, self.params["split"], seed)
        return {name: np.flatnonzero(part == name) for name in ("train", "validation", "test")}

    def answered(self, name: str, seed: int) -> Result | None:
        """What a method answered, if it has been asked."""
        path = self.out / f"{name}-{seed}.npz"
        if not path.exists():
            return None
        with np.load(path) as kept:
            arrays = {key: kept[key] for key in kept.files}
        plain = {key: arrays[key].item() for key in ("train_seconds", "predict_seconds", "model_bytes")}
        return Result(arrays["validation"], arrays["test"], **plain, thresholds=arrays.get("thresholds"))

    def ask(self, name: str, method: str, seed: int) -> None:
        """Train a method on the split of a seed and keep what it answers, under `name`."""
        rows = self.rows(seed)
        self.out.mkdir(parents=True, exist_ok=True)
        result = METHODS[method](self._case(rows, seed)) if method in METHODS else self._tuned_peer(method, rows, seed)
        kept = {key: value for key, value in result._asdict().items() if value is not None}
        np.savez(self.out / f"{name}-{seed}.npz", **kept)

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
            np.save(path, encode(pretrained(embedder), self.corpus.texts, embedder))
        return np.load(path)

    def answers(self, result: Result, Y_validation: np.ndarray) -> list[Answer]:
        """A method's answer by each decision rule that it may choose from."""
        if result.thresholds is not None:
            return [Answer(result.validation, result.test, result.thresholds)]
        rules = [NO_SHRINKAGE_AT_ALL, self.params["evaluate"].shrinkage]
        thresholds = [best_thresholds(Y_validation, result.validation, shrinkage) for shrinkage in rules]
        return [Answer(result.validation, result.test, own) for own in thresholds]

    def scorer(self, seed: int) -> Scorer:
        """Scores the test films of a seed; tags are head or tail by all films that methods may learn from."""
        Y, rows = self.corpus.Y, self.rows(seed)
        both = np.concatenate([rows["train"], rows["validation"]])
        return Scorer(Y[both], Y[rows["validation"]], Y[rows["test"]], self.params["evaluate"])

    def row(self, name: str, seed: int) -> dict[str, float] | None:
        """All scores of a method on the test films of a seed; of F1 each the better rule's."""
        if (result := self.answered(name, seed)) is None:
            return None
        scorer = self.scorer(seed)
        rules = [scorer.scores(answer) for answer in self.answers(result, scorer.Y_validation)]
        best = {key: max(rule[key] for rule in rules) for key in rules[0]}
        costs = {key: getattr(result, key) for key in ("train_seconds", "predict_seconds")}
        return best | costs | {"megabytes": result.model_bytes / 1e6}

    def difference(self, name: str, other: str, seed: int) -> dict[str, tuple[float, float]] | None:
        """95 % intervals of how far `name` is ahead of `other`, at its better rule, on a seed's test films."""
        mine, theirs = self.answered(name, seed), self.answered(other, seed)
        if mine is None or theirs is None:
            return None
        scorer = self.scorer(seed)
        (own,) = self.answers(mine, scorer.Y_validation)
        rules = [scorer.difference(own, rule, seed) for rule in self.answers(theirs, scorer.Y_validation)]
        return {key: min((one[key]["low"], one[key]["high"]) for one in rules) for key in COMPARED}


def mean_table(bench: Bench, names: list[str], seeds: list[int]) -> pd.DataFrame:
    """Each method's scores, the mean over the seeds that it was asked on."""
    table = {}
    for name in names:
        rows = [row for seed in seeds if (row := bench.row(name, seed))]
        if rows:
            mean = pd.DataFrame(rows).mean()
            table[name] = {"seeds": len(rows)} | {title: mean[key] for key, title in SHOWN.items()}
    return pd.DataFrame(table).T


def interval_table(bench: Bench, name: str, others: list[str], seeds: list[int]) -> pd.DataFrame:
    """By how much `name` is ahead: the 95 % intervals' mean ends over the seeds (not narrower for being many)."""
    table = {}
    for other in others:
        found = [one for seed in seeds if (one := bench.difference(name, other, seed))]
        if found:
            ends = {key: np.mean([one[key] for one in found], axis=0) for key in COMPARED}
            table[other] = {SHOWN[key]: f"{low:+.3f} … {high:+.3f}" for key, (low, high) in ends.items()}
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
    bench = Bench(arguments.catalogue, arguments.out, arguments.encoder)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    suffix = f"@{Path(arguments.encoder).name}" if arguments.encoder else ""
    for seed in seeds:
        for method in filter(None, arguments.methods.split(",")):
            if bench.answered(method + suffix, seed) is None:
                log.info("%s, seed %d", method + suffix, seed)
                bench.ask(method + suffix, method, seed)
    names = sorted({path.stem.rsplit("-", 1)[0] for path in bench.out.glob("*-*.npz")})
    print(markdown(mean_table(bench, names, seeds)), end="\n\n")
    for name in (name for name in names if name.startswith("motags")):
        print(f"{name} ahead of\n{markdown(interval_table(bench, name, [n for n in names if n != name], seeds))}\n")


if __name__ == "__main__":
    main()

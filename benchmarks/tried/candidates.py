r"""Where clusters of films would pay: a film's tags are sought among those of the clusters that it lies near.

    PYTHONPATH=benchmarks/quality python benchmarks/tried/candidates.py ../shared/real/motags.jsonl.gz \
        --model results/backends/tagger-42

`--model` is what benchmarks/quality/backends.py made of the same catalogue. Only the films that it was trained on are
read (no test films), with its cross-fitted scores of them and its thresholds.

Cost: the model in 8 bits, saved with its tags repeated up to as many as `--tags` says; its regressions keep as many
coefficients as training would keep. Processor time of one thread. Candidates are taken to cost what a tagger costs that
has no other tags (linear between two points); to gather their weights, others for each film, is not counted.

Quality: the films are dealt to the folds of `tagger.folds`. K-Means finds the clusters of all folds but one; a cluster
has the tags that a share of its films bears; a film of that fold may get the tags of its nearest clusters. First on the
frozen encoder's embeddings, which know no tags; then, after "…", on the tuned one's, which have learned the tags of
these very films, held out or not. What the tuned one does for new films should lie between the two.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch

from motags.dataset.corpus import Corpus
from motags.dataset.split import folds_of
from motags.evaluation.metrics import decide, f1_per_tag, frequency_bands, micro_f1
from motags.evidence.names import Names
from motags.evidence.regressions import Regressions
from motags.evidence.regressions_training import KEPT, MOST_COEFFICIENTS
from motags.evidence.sparse import SparseRows
from motags.evidence.torch_encoder import TorchEncoder
from motags.evidence.words import Words
from motags.films.text import Entry
from motags.paper.clusterer import Clusterer
from motags.paper.embedder import encode, pretrained
from motags.tagger.ranker import Ranker
from motags.tagger.tagger import Tagger
from motags.tagger.training import SECTIONS
from motags.tagger.training_films import TrainingFilms
from peers import Bench

CLUSTERS = (20, 50)
RULES = [(nearest, share) for share in (0.03, 0.01, 0.0) for nearest in (1, 3, 10)]  # share of 0: one film is enough
FILMS, ROUNDS = 200, 7  # films timed at once, and how often: the fastest time counts
FASTER = 1.5


def widened(model: Path, bench: Bench, t: int, folder: Path) -> Tagger:
    """The model in 8 bits, its tags repeated until there are t."""
    tagger = Tagger.load(model, "torch")
    encoder = cast("TorchEncoder", tagger.encoder_)
    films, head, j = tagger.films_, encoder.model.head, np.arange(t) % len(tagger.tags_)
    for name in ("weight", "query", "bias"):
        setattr(head, name, torch.nn.Parameter(getattr(head, name).detach()[j]))
    for name in ("tags_", "kinds_", "descriptions_"):
        setattr(tagger, name, [getattr(tagger, name)[own] for own in j])
    tagger.params_ = {name: bench.params[name] for name in SECTIONS}
    tagger.thresholds_ = tagger.thresholds_[j]
    words, names = cast("Words", tagger.evidence_["words"]), cast("Names", tagger.evidence_["names"])
    tagger.evidence_ = {
        "words": _repeated(words, j), "names": Names(names.tfidf, tagger.tags_, tagger.descriptions_)
    }  # fmt: skip
    tagger.ranker_ = Ranker(len(tagger.sources_), t, bench.params["tagger"].ranker.width).eval()
    one = films.embeddings[:1], films.Y[:1, j], films.out_of_fold[:1, j]
    tagger.films_, tagger.others_ = TrainingFilms(films.ids[:1], films.titles[:1], *one), []
    tagger.support_ = tagger.support_[j]
    tagger.save(folder)
    return Tagger.load(folder, "int8", threads=1)


def _repeated(words: Words, j: np.ndarray) -> Words:
    """The regressions of tags j; where training would keep their largest coefficients alone, ones in these places."""
    coef, intercept = words.regressions.coef, words.regressions.intercept[j]
    assert isinstance(coef, np.ndarray)  # noqa: S101, of few tags
    if len(coef) * len(j) <= MOST_COEFFICIENTS:
        return Words(words.tfidf, Regressions(coef[:, j], intercept))
    kept = np.abs(coef) >= -np.partition(-np.abs(coef), KEPT - 1, axis=0)[KEPT - 1]  # (v, t)
    starts = np.append(0, np.cumsum(kept @ np.bincount(j)))
    columns = (np.flatnonzero(kept[:, j]) % len(j)).astype(np.int32)
    ones = SparseRows(starts, columns, np.ones(len(columns), np.float32), len(j))
    return Words(words.tfidf, Regressions(ones, intercept))


def milliseconds(tagger: Tagger, texts: list[str]) -> list[float]:
    """What a film takes in each part."""
    films = [Entry(str(row), None, text) for row, text in enumerate(texts)]
    kinds: list[Callable[[], np.ndarray]] = [
        lambda: tagger.encoder_.encode(texts)[0][:, None],
        *(partial(kind.evidence, films) for kind in tagger.evidence_.values()),
    ]
    evidence = np.concatenate([kind() for kind in kinds], axis=1)
    parts = [*kinds, lambda: tagger.ranker_.predict_proba(evidence)]
    return [min(_seconds(part) for _ in range(ROUNDS)) / len(texts) * 1000 for part in parts]


def _seconds(part: Callable[[], np.ndarray]) -> float:
    started = time.process_time()
    part()
    return time.process_time() - started


def costs(model: Path, bench: Bench, texts: list[str], tags: list[int]) -> list[float]:
    """Print a row a number of tags; milliseconds of a film at each."""
    print("| tags | encoder | words | mentions | ranker | all, ms a film |\n| --: |" + " --: |" * 5)
    found = []
    for t in tags:
        with tempfile.TemporaryDirectory() as folder:
            own = milliseconds(widened(model, bench, t, Path(folder) / "model"), texts)
        found.append(sum(own))
        print(f"| {t:,} | " + " | ".join(f"{part:.2f}" for part in [*own, sum(own)]) + " |", flush=True)
    return found


def pays_from(share: float, tags: list[int], cost: list[float]) -> str:
    """How many tags there must be, in hundreds, for a share of them to be tagged FASTER times as fast as all."""
    t = np.arange(tags[0], tags[-1] + 1)
    pays = np.interp(t, tags, cost) >= FASTER * np.interp(share * t, tags, cost)
    return f"{round(int(t[pays.argmax()]), -2):,}" if pays.any() else f"over {tags[-1]:,}"


def candidates(X: np.ndarray, Y: np.ndarray, fold: np.ndarray, k: int, seed: int) -> list[np.ndarray]:
    """For each rule the tags that each film may get, (n, t) bool, by the clusters of the other folds."""
    found = [np.zeros_like(Y) for _ in RULES]
    for held in (fold == one for one in np.unique(fold)):
        clusterer = Clusterer(k, n_init=3, random_state=seed).fit(X[~held])
        member = np.eye(len(clusterer.centroids_))[clusterer.labels_]  # (n, k)
        share = member.T @ Y[~held] / member.sum(0)[:, None]  # (k, t)
        near = np.argsort((clusterer.centroids_**2).sum(1) - 2 * X[held] @ clusterer.centroids_.T, axis=1)
        for own, (nearest, least) in zip(found, RULES, strict=True):
            own[held] = ((share > 0) & (share >= least))[near[:, :nearest]].any(1)
    return found


def quality(tagger: Tagger, C: np.ndarray, tail: np.ndarray) -> list[float]:
    """Of candidates C (n, t): the share of all tags, of the true ones, of the tail's true ones; micro- and macro-F1.

    Third, the share of the true tags that as many candidates have if they are the most frequent tags for each film.
    """
    Y = tagger.films_.Y
    P = decide(tagger.films_.out_of_fold, tagger.thresholds_) & C
    frequent = np.append(0, np.sort(Y.sum(0))[::-1].cumsum()) / Y.sum()
    same = np.interp(C.sum(1).mean(), np.arange(Y.shape[1] + 1), frequent)
    return [C.mean(), C[Y].mean(), same, C[:, tail][Y[:, tail]].mean(), micro_f1(Y, P), f1_per_tag(Y, P).mean()]


def kept(tagger: Tagger, bench: Bench, known: Corpus, tags: list[int], cost: list[float]) -> None:
    """Print a row a rule, on the frozen and on the tuned embeddings."""
    evaluate, embedder, seed = bench.params["evaluate"], bench.params["embedder"], tagger.random_state
    fold = folds_of(known.texts, known.Y, bench.params["tagger"].folds, seed)
    tail = frequency_bands(known.Y.sum(0), evaluate.head, evaluate.tail)["tail"]
    embeddings = encode(pretrained(embedder), known.texts, embedder), tagger.films_.embeddings
    print("\n| k | nearest | share | candidates | true tags | by frequency | tail's | micro F1 | macro F1 "
          f"| {FASTER} times as fast from |\n|" + " --: |" * 10)  # fmt: skip
    whole = quality(tagger, np.ones_like(known.Y), tail)
    print("| all tags | | |" + "".join(f" {figure:.3f} |" for figure in whole) + " |")
    for k in CLUSTERS:
        both = zip(*(candidates(X, known.Y, fold, k, seed) for X in embeddings), strict=True)
        for (nearest, least), kinds in zip(RULES, both, strict=True):
            frozen, tuned = (quality(tagger, C, tail) for C in kinds)
            cells = "".join(f" {one:.3f} … {other:.3f} |" for one, other in zip(frozen, tuned, strict=True))
            pays = " … ".join(pays_from(own[0], tags, cost) for own in (frozen, tuned))
            print(f"| {k} | {nearest} | {least:g} |{cells} {pays} |", flush=True)
    print(f"\nthe most that any candidates can do: {FASTER} times as fast from {pays_from(0, tags, cost)} tags")


def main() -> None:
    """Print what a film costs, then what candidates keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tags", default="1,85,1000,5000,20000")
    given = parser.parse_args()
    bench, tagger = Bench.of_films(given.catalogue, Path()), Tagger.load(given.model)
    row = {film: row for row, film in enumerate(bench.corpus.ids)}
    known = bench.corpus.part(np.array([row[film] for film in tagger.films_.ids]))
    tags = [int(t) for t in given.tags.split(",")]
    kept(tagger, bench, known, tags, costs(given.model, bench, known.texts[:FILMS], tags))


if __name__ == "__main__":
    main()

"""How many films must be tagged: the queue of `motags suggest` beside random choice, the known tags as oracle.

    python benchmarks/quality/active_learning.py ../shared/real/motags.jsonl.gz --out results/active

From START films, chosen at random among those that are no test films, BATCH more are bought at a time: by the queue,
or at random. After each purchase two learners are trained again on all films bought (quick_learner.py): one from labels
alone, and one that also knows the tags' names and descriptions. Macro-F1 is that of their calibrated scores on the
test films of the split of SPLIT, at the thresholds that maximise the expected F1 of the films which are no test films.
The queue always asks the second learner, as `motags suggest` asks the tagger, which knows the names too.

The rule was chosen on the training films of that split, with other seeds; that its cosines are centred was decided
after a look at the test films (docs/results.md). The learner's embeddings are centred, and its words weighed, on all
films, test films included, but without their tags. Each run is kept under --out, so that a benchmark that was stopped
goes on.
"""

import json
from collections.abc import Callable

import numpy as np

from motags.active_learning.suggest import queue
from motags.artifacts import write_json
from motags.evaluation.metrics import f1_per_tag
from motags.tagger.ranker import thresholds_of
from quick_learner import QuickLearner, learner_of

SPLIT = 42
SEEDS = [1, 2, 3, 4, 5]
START, BATCH, MOST = 200, 100, 1600  # films
LEVELS = [600, 800, 1000, 1200, 1400, 1600]  # of random choice, to reach with fewer
RESAMPLES = 1000
STUDENT = 2.776  # 97.5 % point of t with four degrees of freedom, for five seeds
LEARNERS = {"labels alone": False, "labels and names": True}

Choose = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Simulation:
    """One catalogue, its test films and those that can be bought."""

    def __init__(self, learner: QuickLearner) -> None:
        self.learner = learner
        rows = learner.bench.rows(SPLIT)
        self.test = rows["test"]
        self.buyable = np.sort(np.concatenate([rows["train"], rows["validation"]]))
        self.Y = learner.corpus.Y

    def by_queue(self, scores: np.ndarray, bought: np.ndarray, left: np.ndarray) -> np.ndarray:
        """The next films to buy, rows of the catalogue, by what `motags suggest` would ask."""
        X, support = self.learner.centred, self.Y[bought].sum(0)
        return left[[pick.row for pick in queue(scores[left], X[left], support, BATCH, X[bought])]]

    def run(self, seed: int, choose: Choose) -> dict[str, list[float]]:
        """Macro-F1 of each learner after START, START + BATCH … films; films stand in random order for `choose`."""
        order = np.random.default_rng(seed).permutation(self.buyable)
        bought, left = order[:START], order[START:]
        found: dict[str, list[float]] = {name: [] for name in LEARNERS}
        while True:
            for name, names in LEARNERS.items():
                scores = self.learner.scores(bought, self.Y[bought], seed, names=names)
                found[name].append(self.macro_f1(scores))
            if len(bought) >= MOST:
                return found
            new = choose(scores, bought, left)
            bought, left = np.concatenate([bought, new]), left[~np.isin(left, new)]

    def macro_f1(self, scores: np.ndarray) -> float:
        """Macro-F1 on the test films."""
        thresholds = thresholds_of(scores[self.buyable], 1.0)
        return float(f1_per_tag(self.Y[self.test], scores[self.test] >= thresholds).mean())


def at_random(_scores: np.ndarray, _bought: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The next films to buy: they stand in random order."""
    return left[:BATCH]


def labels_needed(curve: np.ndarray, level: float) -> float:
    """Films that a curve of macro-F1 needs to reach a level, in proportion between its points; inf if it does not."""
    films = START + BATCH * np.arange(len(curve))
    best = np.maximum.accumulate(curve)
    return float(np.interp(level, best, films)) if level <= best[-1] else float("inf")


def shares(ours: np.ndarray, random: np.ndarray, bought: int) -> dict[str, float]:
    """Films that the queue needs for what `bought` films at random give, and its share, with an interval over seeds.

    Args:
        ours, random: curves (seeds, points).
    """
    point = (bought - START) // BATCH

    def share(rows: np.ndarray) -> float:
        return labels_needed(ours[rows].mean(0), float(random[rows].mean(0)[point])) / bought

    rng = np.random.default_rng(0)
    drawn = [share(rng.integers(0, len(ours), len(ours))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")  # the others subtract, and a share may be inf
    found = share(np.arange(len(ours)))
    return {"macro_f1": float(random.mean(0)[point]), "films": found * bought, "share": found, "low": low, "high": high}


def main() -> None:
    """Simulate, then print macro-F1 a purchase and the films needed."""
    learner = learner_of(__doc__)
    out = learner.bench.out / f"active-{SPLIT}-{START}-{BATCH}-{MOST}"
    simulation = Simulation(learner)
    runs: dict[str, list[dict[str, list[float]]]] = {"queue": [], "random": []}
    for seed in SEEDS:
        for name, choose in {"queue": simulation.by_queue, "random": at_random}.items():
            path = out / f"{name}-{seed}.json"
            if not path.exists():
                write_json(path, simulation.run(seed, choose))
            runs[name].append(json.loads(path.read_text(encoding="utf-8")))
            print(f"seed {seed}, {name}: done", flush=True)
    for of in LEARNERS:
        report(of, *(np.array([run[of] for run in runs[name]]) for name in ("queue", "random")))


def report(of: str, ours: np.ndarray, random: np.ndarray) -> None:
    """Print the curves of one learner and the films needed, as Markdown."""
    print(f"\n{of}\n\n| films | queue | random |\n| --: | --: | --: |")
    for point in range(ours.shape[1]):
        cells = [f"{c[:, point].mean():.3f} ± {half_width(c[:, point]):.3f}" for c in (ours, random)]
        print(f"| {START + BATCH * point} | {' | '.join(cells)} |")
    print("\n| films at random | their macro-F1 | films by the queue | share | 95 % interval |\n" + "| --: " * 5 + "|")
    for bought in LEVELS:
        s = shares(ours, random, bought)
        interval = f"{s['low']:.2f} … {s['high']:.2f}"
        print(f"| {bought} | {s['macro_f1']:.3f} | {s['films']:.0f} | {s['share']:.2f} | {interval} |")


def half_width(values: np.ndarray) -> float:
    """Half of the 95 % interval of the mean over seeds."""
    return float(STUDENT * values.std(ddof=1) / np.sqrt(len(values)))


if __name__ == "__main__":
    main()

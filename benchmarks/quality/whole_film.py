"""What each kind of evidence of a film gives: alone, left out, silent; and what others make of the same evidence.

    python benchmarks/quality/whole_film.py ../shared/real/catalogue.jsonl.gz --out results/whole-film --seeds 42 43 44

For each seed the films are split as the stage `split` does it; the tagger learns from training and validation films as
the stage `tagger` does it, and is measured on the test films. Its evidence (an hour a seed on two cores without a GPU)
is kept under --out, so that a run that was stopped goes on. From it come, with rankers trained anew:

- a row for each set of kinds of evidence, the mean over the seeds and its spread;
- for the first seed, a table of silence: a model that learned from all kinds, given films with some of them alone,
  beside a model that learned from these alone;
- a peer on the same evidence: the mean of a regression a kind, its micro-F1 at the best common threshold, its macro-F1
  at the best of each tag, both from held-out training films.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from ablation import HEAD, measured
from motags.dataset.corpus import Corpus
from motags.dataset.facts import entries_of_frames, facts_frame
from motags.dataset.tag_vocabulary import read_descriptions
from motags.evaluation.metrics import best_thresholds
from motags.evidence.image_encoder import pretrained, save
from motags.evidence.pictures import film_pictures, vectors_of_catalogue, with_pictures
from motags.evidence.pictures_params import PicturesParams
from motags.films.text import Entry, TextRules
from motags.params import PARAMS, read_params
from motags.tagger import ranker
from motags.tagger.tagger import Tagger
from motags.tagger.training import Training, cross_fitted, learn_evidence
from peers import COMMON_ONLY, ROOT, Bench, fused

SETS = {
    "text alone": ("text",),
    "text and facts": ("text", "facts"),
    "text and poster": ("text", "poster"),
    "all kinds": ("text", "facts", "poster"),
    "facts alone": ("facts",),
    "poster alone": ("poster",),
    "facts and poster": ("facts", "poster"),
}


class Kept(NamedTuple):
    """Evidence of one seed: of the m training films, and of the test films.

    Attributes:
        train: (m, w, t); Y: (m, t); fold: (m,); test: (p, w, t); truth: (p, t); sources: of each of the w rows.
    """

    train: np.ndarray
    Y: np.ndarray
    fold: np.ndarray
    test: np.ndarray
    truth: np.ndarray
    sources: list[str]

    def part(self, sources: Sequence[str]) -> "Kept":
        """The rows of some sources alone."""
        own = [row for row, source in enumerate(self.sources) if source in sources]
        return self._replace(
            train=self.train[:, own], test=self.test[:, own], sources=[self.sources[row] for row in own]
        )

    def silenced(self, sources: Sequence[str]) -> np.ndarray:
        """The test films' evidence as if nothing but these sources were known, (p, w, t)."""
        known = np.array([source in sources for source in self.sources])
        return np.where(known[:, None], self.test, np.nan).astype(np.float32)


class Study:
    """A catalogue, its films as the tagger takes them, and where their evidence is kept."""

    def __init__(self, catalogue: Path, out: Path) -> None:
        records, self.frame = fused(catalogue)
        corpus = Corpus.from_frame(self.frame)
        self.bench = Bench(corpus, read_descriptions(ROOT / "data/descriptions.csv", corpus.tags), out)
        self.facts, self.out = facts_frame(records, corpus.ids), out
        out.mkdir(parents=True, exist_ok=True)

    def evidence(self, seed: int) -> Kept:
        """The evidence of a seed, trained if it has not been kept."""
        path = self.out / f"{self.bench.corpus.digest}-{seed}.npz"
        if not path.exists():
            kept = self._trained(seed)
            np.savez(path, **kept._asdict())
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Kept(**arrays | {"sources": arrays["sources"].tolist()})

    def _trained(self, seed: int) -> Kept:
        rows, corpus, params = self.bench.rows(seed), self.bench.corpus, self.bench.params
        train = np.sort(np.concatenate([rows["train"], rows["validation"]]))
        films = self._films()
        model = Tagger(params["tagger"], params["embedder"], seed)
        model.tags_, model.descriptions_ = corpus.tags, self.bench.descriptions
        training = Training(model, params, seed, [films[row] for row in train], corpus.Y[train], None)
        held = learn_evidence(model, training)
        values, _ = model.evidence([films[row] for row in rows["test"]])
        truth = corpus.Y[rows["test"]]
        return Kept(held.values, corpus.Y[train][held.rows], held.fold, values, truth, model.sources_)

    def _films(self) -> list[Entry]:
        """The films with vectors of their posters."""
        params = read_params(ROOT / PARAMS, {"pictures": PicturesParams})["pictures"]
        folder, store = self.out / "image_encoder", self.out / "posters.safetensors"
        if not folder.exists():
            save(pretrained(params), folder)
        pictures = vectors_of_catalogue(film_pictures(self.facts), folder, store, params.trailer_frames, threads=0)
        rules = TextRules.of(self.bench.params["dataset"], self.bench.params["tagger"].fields)
        return with_pictures(entries_of_frames(self.frame, self.facts, rules), pictures.posters, pictures.trailers)


class Weighed(NamedTuple):
    """A ranker and its thresholds (t,)."""

    fitted: ranker.Ranker
    thresholds: np.ndarray

    def row(self, truth: np.ndarray, evidence: np.ndarray) -> list[float]:
        """A row of the table, of films with this evidence."""
        return measured(truth, self.fitted.predict_proba(evidence), self.thresholds)


def weighed(kept: Kept, params: ranker.RankerParams, seed: int) -> Weighed:
    """A ranker on evidence, and thresholds, as the tagger has them."""
    scores = cross_fitted(kept.train, kept.Y, kept.fold, params, seed, None, kept.sources)
    fitted = ranker.fit(kept.train, kept.Y, params, seed, None, kept.sources)
    return Weighed(fitted, ranker.thresholds_of(scores, params.macro))


def mean_of_regressions(kept: Kept) -> list[float]:
    """The mean of a regression a kind (words, facts, poster), each standardised, plus the tag's log odds."""
    own = [kept.sources.index(source) + (source == "text") for source in dict.fromkeys(kept.sources)]  # not the encoder

    def mean(values: np.ndarray) -> np.ndarray:
        return expit(np.nanmean((values[:, own] - centre) / spread, axis=1) + logit(ranker.share(kept.Y)))

    centre, spread = np.nanmean(kept.train[:, own], axis=0), np.nanstd(kept.train[:, own], axis=0)
    held, S = mean(kept.train), mean(kept.test)
    return best_of_both(kept, held, S)


def best_of_both(kept: Kept, held: np.ndarray, S: np.ndarray) -> list[float]:
    """A peer's row: its micro-F1 at the best common threshold, its macro-F1 at the best of each tag."""
    common, each = (best_thresholds(kept.Y, held, shrinkage) for shrinkage in (COMMON_ONLY, 10.0))
    row = measured(kept.truth, S, common)
    return [row[0], measured(kept.truth, S, each)[1], *row[2:]]


def print_rows(rows: dict[str, list[list[float]]]) -> None:
    """Rows of a table: means over the seeds, and the spread of the first two."""
    for name, seeds in rows.items():
        mean, spread = np.mean(seeds, axis=0), np.std(seeds, axis=0)
        cells = [f"{mean[0]:.3f} ± {spread[0]:.3f}", f"{mean[1]:.3f} ± {spread[1]:.3f}"] if len(seeds) > 1 else []
        cells += [f"{value:.3f}" for value in mean[len(cells) :]]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Train what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder where evidence is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--silence", action="store_true", help="the table of silence too, on the first seed")
    arguments = parser.parse_args()
    study, seeds = Study(arguments.catalogue, arguments.out), arguments.seeds
    params = study.bench.params["tagger"].ranker
    kept = {seed: study.evidence(seed) for seed in seeds}
    models: dict[tuple[str, int], Weighed] = {}
    print(HEAD)
    for name, sources in SETS.items():
        own = {seed: kept[seed].part(sources) for seed in seeds}
        models |= {(name, seed): weighed(own[seed], params, seed) for seed in seeds}
        print_rows({name: [models[name, seed].row(own[seed].truth, own[seed].test) for seed in seeds]})
    print_rows({"peer: mean of a regression a kind": [mean_of_regressions(kept[seed]) for seed in seeds]})
    if arguments.silence:
        first = kept[seeds[0]]
        print(f"\n{HEAD}")
        for name, sources in SETS.items():
            given = models["all kinds", seeds[0]].row(first.truth, first.silenced(sources))
            alone = models[name, seeds[0]].row(first.truth, first.part(sources).test)
            print_rows({f"all kinds, given {name}": [given], f"learned from {name}": [alone]})


if __name__ == "__main__":
    main()

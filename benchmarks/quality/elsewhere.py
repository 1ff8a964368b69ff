"""Does motags hold on other catalogues? Beside TF-IDF with tuned regressions, with no change of parameters.

    python benchmarks/quality/elsewhere.py --out results/elsewhere

| data set | what it is | from |
|---|---|---|
| films | 480 films, genres and keywords | data/sample, with this project's descriptions of tags |
| databases | descriptions of scientific databases and standards, and their subjects and domains: records of FAIRsharing (CC BY-SA 4.0) | the package bioregistry |
| weaknesses | descriptions of software weaknesses, and what they can lead to: MITRE's Common Weakness Enumeration (free to use under its terms) | the package cwe2 |

The two packages carry the data; they are unpacked into `.venv/elsewhere` on first use, without what they depend on, and
none of their code runs. Of the other data sets all labels are kept that at least 10 texts bear, in lower case; their
tags have no descriptions. Split, tuning and scores are those of peers.py: TF-IDF is tuned on validation texts, motags
tunes nothing. An interval is of the mean difference over the seeds, when the texts are resampled.
"""  # noqa: E501, the table's rows

import argparse
import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import numpy as np
import pandas as pd

from motags.dataset.corpus import Corpus
from motags.dataset.fuse import DatasetParams
from motags.films.text import words_of
from motags.params import PARAMS, read_params
from peers import ROOT, Bench, interval_table, markdown, mean_table

LOCK = Path(__file__).with_name("requirements-elsewhere.lock")
PACKAGES = ROOT / ".venv" / "elsewhere"
LEAST_TEXTS = 10  # that bear a label, for it to be kept
EMPTY_LABELS = {"other", "varies by context"}  # of weaknesses: they say nothing
METHODS = ("tfidf", "motags")
SHOWN = ["micro F1", "macro F1", "tail F1", "P@1", "P@3", "AUC", "ECE", "training, s"]

log = logging.getLogger("elsewhere")


class Record(NamedTuple):
    """A text and its labels."""

    id: str
    title: str
    text: str
    labels: set[str]


def packages() -> Path:
    """The folder of the packages that carry the data, filled anew whenever the lock file has changed."""
    stamp = PACKAGES / LOCK.name
    if not stamp.exists() or stamp.read_text() != LOCK.read_text():
        install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--upgrade"]
        command = [sys.executable, "-m", "pip", *install, "--target", str(PACKAGES), "-r", str(LOCK)]
        subprocess.run(command, check=True)
        stamp.write_text(LOCK.read_text())
    return PACKAGES


def databases() -> Iterator[Record]:
    """Descriptions of scientific databases and standards, and the subjects and domains that curators gave them."""
    file = packages() / "bioregistry/external/fairsharing/processed.json"
    for key, record in json.loads(file.read_text(encoding="utf-8")).items():
        yield Record(key, record["name"], record["description"], set(record.get("keywords", [])))


def weaknesses() -> Iterator[Record]:
    """Descriptions of software weaknesses; the scopes and impacts of what they lead to."""
    root = defusedxml.ElementTree.parse(packages() / "cwe2/database_v49/cwec_v4.14.xml").getroot()
    for weakness in root.iterfind("{*}Weaknesses/{*}Weakness"):
        if weakness.get("Status") != "Deprecated":
            text = " ".join(_inner(weakness, name) for name in ("Description", "Extended_Description"))
            parts = (weakness.iterfind(f".//{{*}}Consequence/{{*}}{part}") for part in ("Scope", "Impact"))
            led_to = {one.text or "" for part in parts for one in part}
            yield Record(weakness.attrib["ID"], weakness.attrib["Name"], text, led_to)


def _inner(weakness: Element, name: str) -> str:
    part = weakness.find(f"{{*}}{name}")
    return "" if part is None else " ".join(part.itertext())


def corpus_of(records: Iterable[Record], params: DatasetParams) -> Corpus:
    """Texts as the stage `dataset` cleans and cuts them, with the labels that enough of them bear."""
    told = [(record, words_of(record.text)[: params.max_words]) for record in records]
    own = [{label.lower() for label in record.labels} - EMPTY_LABELS for record, _ in told]
    counts = Counter(label for labels in own for label in labels)
    kept = [sorted(label for label in labels if counts[label] >= LEAST_TEXTS) for labels in own]
    rows = [
        (record.id, record.title, " ".join(words), labels)
        for (record, words), labels in zip(told, kept, strict=True)
        if labels and len(words) >= params.min_words
    ]
    return Corpus.from_frame(pd.DataFrame(sorted(rows), columns=["id", "title", "text", "tags"]))


OTHERS: dict[str, Callable[[], Iterator[Record]]] = {"databases": databases, "weaknesses": weaknesses}


def bench_of(name: str, out: Path) -> Bench:
    """The bench of a data set."""
    if name not in OTHERS:
        return Bench.of_films(ROOT / "data/sample/films.jsonl", out)
    corpus = corpus_of(OTHERS[name](), read_params(ROOT / PARAMS, {"dataset": DatasetParams})["dataset"])
    return Bench(corpus, [""] * len(corpus.tags), out)


def size_of(corpus: Corpus) -> str:
    """How many texts and labels, labels a text, words a text."""
    words = np.mean([len(text.split()) for text in corpus.texts])
    n, t = corpus.Y.shape
    return f"{n:,} texts, {t} labels, {corpus.Y.sum() / n:.1f} a text, {words:.0f} words"


def main() -> None:
    """Ask both methods on each data set, then print their scores and by how much motags is ahead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="what was answered is kept here, so that a run goes on")
    parser.add_argument("--sets", default=",".join(["films", *OTHERS]), help="comma-separated; all by default")
    parser.add_argument("--seeds", default="42", help="of split and training, comma-separated")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for noisy in ("httpx", "sentence_transformers", "transformers", "accelerate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sets, seeds = arguments.sets.split(","), [int(seed) for seed in arguments.seeds.split(",")]
    if unknown := set(sets) - {"films", *OTHERS}:
        parser.error(f"--sets: {', '.join(sorted(unknown))} is none of {', '.join(['films', *OTHERS])}")
    means: dict[str, Any] = {}
    ahead: dict[str, Any] = {}
    for name in sets:
        bench = bench_of(name, arguments.out)
        log.info("%s: %s", name, size_of(bench.corpus))
        for seed, method in ((seed, method) for seed in seeds for method in METHODS):
            if bench.answered(method, seed) is None:
                log.info("%s, seed %d", method, seed)
                bench.ask(method, method, seed)
        table = mean_table(bench, list(METHODS), seeds)[SHOWN]
        means |= {f"{name} ({size_of(bench.corpus)}): {method}": table.loc[method] for method in METHODS}
        ahead[name] = interval_table(bench, "motags", ["tfidf"], seeds).loc["tfidf"]
    print(markdown(pd.DataFrame(means).T), end="\n\n")
    print(f"motags ahead of tfidf\n{markdown(pd.DataFrame(ahead).T)}")


if __name__ == "__main__":
    main()

"""What tests build films, encoders, models and projects from."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer

from motags.evidence.encoder_training import TagEncoderParams, lower_states, tune
from motags.evidence.facts_training import FactsParams
from motags.evidence.label_attention import (
    TagAttention,
    TagEncoder,
    tag_vectors,
    top_layers,
)
from motags.evidence.vectors_training import VectorsParams
from motags.evidence.words_training import WordsParams
from motags.films.film import Film, Tag
from motags.paper.embedder import EmbedderParams
from motags.tagger.ranker import RankerParams
from motags.tagger.tagger import Tagger
from motags.tagger.training import TaggerParams
from motags.web.database import Database
from motags.web.store import ReviewStore, Scored

ROOT = Path(__file__).parents[1]


SAMPLE = ROOT / "data/sample/films.jsonl"


def sample_films(n: int) -> list[dict[str, object]]:
    """The first n films of the sample catalogue."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:n]]


def telling_films(n: int) -> list[dict[str, object]]:
    """The same films; each text ends with its tags, so that there is something to learn in seconds."""
    return [film | {"synopsis": f"{film['synopsis']} {', '.join(film['tags'])}."} for film in sample_films(n)]  # type: ignore[arg-type]


# Runs a script whose files may not grow beyond a number of bytes: a disk that fills up in the middle of a file.
LIMITED = """
import os, resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = sys.argv[2:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@dataclass
class Project:
    """A motags project of its own: code, parameters, git and DVC."""

    root: Path
    python: Path = Path(sys.executable).parent
    """The folder of the `python` that runs the stages."""

    def environment(self) -> dict[str, str]:
        """Variables with which the project's own code is what runs."""
        path = os.pathsep.join([str(self.python), str(Path(sys.executable).parent), os.environ["PATH"]])
        env = os.environ | {"PATH": path, "PYTHONPATH": str(self.root / "src"), "HF_HUB_OFFLINE": "1"}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "COLUMNS": "200"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "test", f"GIT_{who}_EMAIL": "test@example.org"}
        return env

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; its output is in the assertion when it fails."""
        env = self.environment()
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def stage(self, name: str, *paths: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a stage script without DVC."""
        return self.run("python", f"stages/{name}.py", *paths, check=check)

    def start(self, name: str, *paths: str) -> subprocess.Popen[str]:
        """Start a stage script without DVC, to stop it."""
        command = [sys.executable, f"stages/{name}.py", *paths]
        return subprocess.Popen(command, cwd=self.root, env=self.environment(), stderr=subprocess.PIPE, text=True)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def json(self, path: str) -> dict[str, object]:
        """Read a JSON file of the project."""
        return dict(json.loads((self.root / path).read_text()))

    def copied(self, root: Path, python: Path) -> "Project":
        """A copy of the project to break, whose stages run by another `python`."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root, python)

    def ran(self, done: subprocess.CompletedProcess[str]) -> list[str]:
        """The stages that a `dvc repro` or `dvc exp run` ran."""
        said = done.stdout.splitlines()
        return [line.split("'")[1] for line in said if line.startswith("Running stage ")]


Make = Callable[[Path, int], Project]


def smaller(params: Path, encoder: Path) -> None:
    """Make the parameters small enough for a test."""
    changes = {
        "threads": {"threads: 0": "threads: 1"},
        "dataset": {"max_words: 400": "max_words: 300"},
        "embedder": {
            "model: all-MiniLM-L6-v2": f"model: {encoder}",
            "max_tokens: 256": "max_tokens: 64",
            "epochs: 3 ": "epochs: 2 ",
        },
        "clusterer": {"k: 20": "k: 4"},
        "pictures": {"size: 260": "size: 32", "trailer_frames: 8": "trailer_frames: 2"},
        "local_models": {"min_count: 10": "min_count: 3", "epochs: 30": "epochs: 3"},
        "tagger": {
            "epochs: 4 ": "epochs: 1 ",
            "min_steps: 100": "min_steps: 1",
            "width: 64": "width: 8",
            "steps: 500": "steps: 50",
        },
        "evaluate": {"resamples: 1000": "resamples: 50"},
    }
    parts = re.split(r"^(?=\w)", params.read_text(), flags=re.MULTILINE)
    sections = {part.split(":")[0]: part for part in parts}
    assert len(sections) == len(parts)
    for section, replaced in changes.items():
        for old, new in replaced.items():
            assert sections[section].count(old) == 1, f"{section}: {old}"
            sections[section] = sections[section].replace(old, new)
    params.write_text("".join(sections.values()))


MOTAGS = str(Path(sys.executable).parent / "motags")


def motags(
    *arguments: str, cwd: Path | None = None, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    env = os.environ | variables
    command = [MOTAGS, *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, env=env, capture_output=True, text=True, check=False)


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(row | {"tags": "|".join(row["tags"])} for row in rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def long_tailed(seed: int, n: int = 1000, t: int = 60) -> np.ndarray:
    """Tags from 50 % of the films down to 1 %; every film has one, every tag a film."""
    rng = np.random.default_rng(seed)
    Y = rng.random((n, t)) < 0.5 / np.arange(1, t + 1) ** 0.95
    Y[~Y.any(1), 0] = True
    Y[0, ~Y.any(0)] = True
    return Y


TOPIC_WORDS = ["spaceship", "cowboy", "murder", "wedding"]


def topic_films(n: int, seed: int = 0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts, embeddings and labels: one of four topics, which a word and a dimension give away, and a tag of chance."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(4, size=n)
    filler = [
        " ".join(rng.choice(["the", "old", "story", "of", "a", "man", "and", "his", "town"], 6)) for _ in range(n)
    ]
    texts = [f"{text} {TOPIC_WORDS[c]}" for text, c in zip(filler, topic, strict=True)]
    X = np.eye(4)[topic] + rng.normal(scale=0.1, size=(n, 4))
    return texts, X.astype(np.float32), np.column_stack([np.eye(4, dtype=bool)[topic], rng.random(n) < 0.4])


def embedder_params(model: Path | str, **changes: object) -> EmbedderParams:
    values: dict[str, object] = {
        "model": str(model),
        "revisions": {},
        "max_tokens": 64,
        "device": "cpu",
        "precision": "float32",
        "epochs": 2,
        "batch_size": 8,
        "encode_batch_size": 4,
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "frozen_layers": 0,
        "dropout": 0.0,
        "margin": 0.2,
        "ties": "drop",
    }
    return EmbedderParams.model_validate(values | changes)


GENRES = ["Drama", "Comedy", "Horror", "Science Fiction", "Romance", "Animation", "War", "Crime"]


SAMPLE_FILMS = [film for film in sample_films(120) if set(film["tags"]) & set(GENRES)]  # type: ignore[arg-type]


SAMPLE_TEXTS = [str(film["synopsis"]) for film in SAMPLE_FILMS]


SAMPLE_LABELS = np.array([[genre in film["tags"] for genre in GENRES] for film in SAMPLE_FILMS])  # type: ignore[operator]


def weights_of(encoder: SentenceTransformer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in encoder.state_dict().items()}


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def ranker_params(**changes: object) -> RankerParams:
    values: dict[str, object] = {
        "width": 16,
        "steps": 300,
        "batch_size": 256,
        "learning_rate": 5e-3,
        "dropout": 0.0,
        "silence": 0.5,
        "prior_films": 1.0,
        "macro": 0.5,
    }
    return RankerParams.model_validate(values | changes)


def evidence_sample(n: int, frequency: np.ndarray, seed: int = 0) -> Sample:
    """Evidence (n, 3, t), labels drawn from probabilities that its second witness knows, and these probabilities.

    The first witness is noise. The third is noise too, and as loud as a frequent tag's evidence.
    """
    rng = np.random.default_rng(seed)
    t = len(frequency)
    odds = np.log(frequency / (1 - frequency)) + rng.normal(scale=2, size=(n, t))
    P = 1 / (1 + np.exp(-odds))
    evidence = np.stack([rng.normal(size=(n, t)), 3 * odds + 1, rng.normal(5, 9, size=(n, t))], axis=1)
    return evidence.astype(np.float32), rng.random((n, t)) < P, P


TOPIC_TAGS = ["spaceship", "cowboy", "murder", "wedding", "chance"]


def encoder_training_params(**changes: object) -> TagEncoderParams:
    values: dict[str, object] = {
        "trained_layers": 2,
        "epochs": 2,
        "min_steps": 1,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "head_learning_rate": 1e-2,
        "dropout": 0.1,
    }
    return TagEncoderParams.model_validate(values | changes)


def tag_head(encoder: SentenceTransformer, Y: np.ndarray) -> TagAttention:
    """The attention of the tags before it is trained."""
    return TagAttention(
        tag_vectors(encoder, TOPIC_TAGS[: Y.shape[1]], embedder_params("any")), (Y.sum(0) + 0.5) / (len(Y) + 1)
    )


def tuned_on(
    encoder: SentenceTransformer, texts: list[str], Y: np.ndarray, own: TagEncoderParams, seed: int = 0
) -> TagEncoder:
    """The top layers and the attention, tuned on the texts."""
    states = lower_states(encoder, texts, embedder_params("any"), own.trained_layers)
    return tune(
        top_layers(encoder, own.trained_layers), tag_head(encoder, Y), states, Y, own, embedder_params("any"), seed
    )


WORDS_PARAMS = WordsParams(max_ngram=2, min_df=2, C=3.0)


NEW_TEXTS = [*(str(film["synopsis"]) for film in sample_films(480)[400:]), "", "xyzzy plugh", "ACTION!!", "\U0001f3ac"]


def fitted_tagger(
    given: SentenceTransformer, films: Any, labels: np.ndarray, tags: list[str], said: list[str] | None = None,
    seed: int = 0, **changes: object,
) -> Tagger:  # fmt: skip
    """A tagger that is fitted in a second."""
    values: dict[str, object] = {
        "fields": ["title", "tagline", "text"],
        "evidence": ["words", "names", "facts", "poster", "trailer", "vectors"],
        "folds": 2,
        "clusters": 3,
        "encoder": encoder_training_params(),
        "words": WordsParams(max_ngram=2, min_df=2, C=3.0),
        "facts": FactsParams(min_films=2, C=1.0, shrinkage=4.0),
        "vectors": VectorsParams(files=[], penalty=10.0),
        "ranker": ranker_params(batch_size=32),
    }
    own = TaggerParams.model_validate(values | changes)
    return Tagger(own, embedder_params("any"), seed).fit(
        films, labels, tags=tags, descriptions=dict(zip(tags, said or [""] * len(tags), strict=True)), encoder=given
    )


def save_sample_tagger(folder: Path, encoder: Path, *, whole_films: bool, **changes: object) -> None:
    """Write a tagger that learned in seconds from the first 120 films of the sample, or from their bare texts."""
    films = sample_films(120)
    tags = [list(map(str, film["tags"])) for film in films]  # type: ignore[call-overload]
    counts = Counter(tag for film_tags in tags for tag in film_tags)
    kept = sorted(tag for tag, count in counts.items() if count >= 8)
    sections: dict[str, Any] = {
        "tagger": {
            "folds": 2, "clusters": 4, "encoder": {"trained_layers": 2, "epochs": 2, "min_steps": 1},
            "ranker": {"width": 16}, **changes,
        },
        "embedder": {"model": str(encoder), "max_tokens": 64, "precision": "float32"},
    }  # fmt: skip
    labels = [[tag for tag in film_tags if tag in kept] for film_tags in tags]
    tagger = Tagger(**sections, random_state=0).fit(
        films if whole_films else [str(film["synopsis"]) for film in films], labels, tags=kept,
        kinds=dict.fromkeys(kept, "keyword"), ids=[str(film["id"]) for film in films],
        titles=[str(film["title"]) for film in films],
    )  # fmt: skip
    tagger.save(folder)


TEXT_FILMS: list[dict[str, Any]] = [
    {"id": str(row), "title": film["title"], "text": " ".join(str(film["synopsis"]).split()[:12]), "tags": []}
    for row, film in enumerate(sample_films(60))
]


def journal(output: Path) -> dict[str, Any]:
    """How far a run is."""
    path = output.with_name(output.name + ".partial") / "journal.json"
    return dict(json.loads(path.read_text())) if path.exists() else {"count": {"films": 0}}


MODEL_VERSION = "0123456789ab"


def review_film(name: str, tags: list[str] | None = None) -> Film:
    return Film(id=name, title=f"Title of {name}", year=1999, tags=[Tag(name=tag) for tag in tags or []])


def review_store(path: Path, films: int = 4, tags: dict[str, list[str]] | None = None) -> ReviewStore:
    """Films a, b, c … with one suggestion each, of which a is the most worth reviewing; some have tags already."""
    store = ReviewStore(Database(path))
    names = [chr(ord("a") + n) for n in range(films)]
    own = [(review_film(name, (tags or {}).get(name)), f"text of {name}") for name in names]
    store.take(own, [("war", "genre", 0.5), ("heist", "keyword", 0.4)])
    scores = [
        Scored(name, 10.0 - n, [("war", 0.9 - n / 10, True), ("heist", 0.3, False)]) for n, name in enumerate(names)
    ]
    store.suggest(MODEL_VERSION, scores)
    return store


def act_name(n: int) -> str:
    return f"act-{n:08}"

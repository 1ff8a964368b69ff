"""A tiny encoder of the real shape, and real DVC projects in temporary folders."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the networks of the tests are tiny: a second thread only waits

import hypothesis
import pytest
import torch
from filelock import FileLock
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast

from motags import Tagger

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data/sample/films.jsonl"


def sample_films(n: int) -> list[dict[str, object]]:
    """The first n films of the sample catalogue."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:n]]


def telling_films(n: int) -> list[dict[str, object]]:
    """The same films; each text ends with its tags, so that there is something to learn in seconds."""
    return [film | {"synopsis": f"{film['synopsis']} {', '.join(film['tags'])}."} for film in sample_films(n)]  # type: ignore[arg-type]


# a job in a shell's background ignores Ctrl-C, and so would the programs that it starts
signal.signal(signal.SIGINT, signal.default_int_handler)
hypothesis.settings.register_profile("motags", deadline=None)  # a test may wait for the other worker's processes
hypothesis.settings.load_profile("motags")

# Runs a script whose files may not grow beyond a number of bytes: a disk that fills up in the middle of a file.
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> MakeOnce:
    """Make a folder of some name, or take the one that another worker has made; tests only read it."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                make(unfinished := shared / f"{name}-unfinished")
                unfinished.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_encoder(once: MakeOnce) -> Path:
    """A BERT of 4 layers and 32 dimensions with random weights and a real tokenizer, as a folder.

    One for all workers: what the tokenizer learns differs between processes.
    """
    return once("encoder", make_tiny_encoder)


def make_tiny_encoder(folder: Path) -> None:
    """Write the encoder of `tiny_encoder`."""
    folder.mkdir()
    words = BertWordPieceTokenizer()
    words.train_from_iterator([str(film["synopsis"]) for film in sample_films(480)], vocab_size=800)
    words.save(str(folder / "words.json"))
    BertTokenizerFast(tokenizer_file=str(folder / "words.json")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def tagger_folder(tiny_encoder: Path, once: MakeOnce) -> Path:
    """A model's folder: a tagger that was trained in two seconds on the first 120 films of the sample."""
    return once("tagger", lambda folder: make_tagger(folder, tiny_encoder))


def make_tagger(folder: Path, encoder: Path) -> None:
    """Write the model of `tagger_folder`."""
    films = sample_films(120)
    own = [list(map(str, film["tags"])) for film in films]  # type: ignore[call-overload]
    counts = Counter(tag for tags in own for tag in tags)
    kept = sorted(tag for tag, count in counts.items() if count >= 8)
    changes = {
        "tagger": {
            "folds": 2, "clusters": 4, "encoder": {"trained_layers": 2, "epochs": 2, "min_steps": 1},
            "ranker": {"width": 16},
        },
        "embedder": {"model": str(encoder), "max_tokens": 64, "precision": "float32"},
    }  # fmt: skip
    tagger = Tagger(**changes, random_state=0).fit(
        [str(film["synopsis"]) for film in films], [[tag for tag in tags if tag in kept] for tags in own], tags=kept,
        kinds=dict.fromkeys(kept, "keyword"), ids=[str(film["id"]) for film in films],
        titles=[str(film["title"]) for film in films],
    )  # fmt: skip
    tagger.save(folder)


@dataclass
class Project:
    """A motags project of its own: code, parameters, git and DVC."""

    root: Path

    def environment(self) -> dict[str, str]:
        """Variables with which the project's own code is what runs."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
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

    def ran(self, done: subprocess.CompletedProcess[str]) -> list[str]:
        """The stages that a `dvc repro` or `dvc exp run` ran."""
        said = done.stdout.splitlines()
        return [line.split("'")[1] for line in said if line.startswith("Running stage ")]


Make = Callable[[Path, int], Project]


@pytest.fixture(scope="session")
def make_project(tiny_encoder: Path) -> Make:
    """Make a project in a folder with the first n films of the sample, sized to run in seconds."""

    def make(root: Path, films: int) -> Project:
        ignore = shutil.ignore_patterns("__pycache__")
        for folder in ("src", "stages", ".dvc/plots"):
            shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
        for file in ("dvc.yaml", "params.yaml", "requirements.lock", ".gitignore", ".dvcignore"):
            shutil.copy(ROOT / file, root / file)
        (root / "data/sample").mkdir(parents=True)
        for file in ("data/descriptions.csv", "data/synonyms.csv"):
            shutil.copy(ROOT / file, root / file)
        lines = [json.dumps(film, ensure_ascii=False) + "\n" for film in telling_films(films)]
        (root / "data/sample/films.jsonl").write_text("".join(lines), encoding="utf-8")
        project = Project(root)
        project.run("git", "init", "-qb", "main")
        (root / ".dvc/config").write_text((ROOT / ".dvc/config").read_text())
        shutil.copy(ROOT / ".dvc/.gitignore", root / ".dvc/.gitignore")
        smaller(root / "params.yaml", tiny_encoder)
        project.commit("A small project")
        return project

    return make


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
        "local_models": {"min_count: 10": "min_count: 3", "epochs: 30": "epochs: 3"},
        "tagger": {
            "folds: 3": "folds: 2",
            "epochs: 3 ": "epochs: 1 ",
            "min_steps: 100": "min_steps: 1",
            "width: 64": "width: 8",
            "steps: 250": "steps: 50",
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

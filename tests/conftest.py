"""A tiny encoder of the real shape, and real DVC projects in temporary folders."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from builders import ROOT, Make, MakeOnce, Project, sample_films, save_sample_tagger, smaller, telling_films

os.environ["OMP_NUM_THREADS"] = "1"  # the networks of the tests are tiny: a second thread only waits

import hypothesis
import pytest
import torch
from filelock import FileLock
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast

from servers.preloaded import preloaded_python

# a job in a shell's background ignores Ctrl-C, and so would the programs that it starts
signal.signal(signal.SIGINT, signal.default_int_handler)
hypothesis.settings.register_profile("motags", deadline=None)  # a test may wait for the other worker's processes
hypothesis.settings.load_profile("motags")

SLOW = {"aged", "browser", "encoder", "fitted", "make_project", "preloaded", "saved", "tagger_folder", "wiki"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark what takes a stage, a trained model, a browser or a real wiki as slow: `make check` leaves these out."""
    for item in items:
        if SLOW.intersection(item.fixturenames):
            item.add_marker(pytest.mark.slow)


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
    return once("tagger", lambda folder: save_sample_tagger(folder, tiny_encoder, whole_films=False))


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a `python` that starts in a tenth of a second, for tests that start many stages."""
    with preloaded_python(tmp_path_factory.mktemp("preloaded")) as folder:
        yield folder


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

"""Posters and own vectors in the pipeline: what is seen, what is kept, what DVC runs again."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import Make, MakeOnce, Project, put, telling_films
from motags.evidence.pictures import films_digest, read_vectors
from motags.tables import read_parquet

pytestmark = pytest.mark.slow

FILMS = 60
STORE = "logs/picture_vectors.safetensors"


def drawn(n: int) -> bytes:
    """A poster of its own."""
    stream = io.BytesIO()
    noise = np.random.default_rng(n).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def dramas(films: list[dict[str, object]]) -> list[dict[str, object]]:
    """Six films with a tag that is frequent enough for them to stay in the data set."""
    return [film for film in films if "Drama" in film["tags"]][:6]  # type: ignore[operator]


def write_posters(project: Project) -> None:
    """Six films name a poster: the third is damaged, the sixth is missing."""
    folder = project.root / "data/sample/posters"
    folder.mkdir()
    for n in range(5):
        put(folder / f"{n}.png", drawn(n)[: 100 if n == 2 else None])
    films = telling_films(FILMS)
    for n, film in enumerate(dramas(films)):
        film["poster"] = f"posters/{n}.png"
    lines = "".join(json.dumps(film) + "\n" for film in films)
    (project.root / "data/sample/films.jsonl").write_text(lines, encoding="utf-8")


@pytest.fixture(scope="module")
def looked_at(once: MakeOnce, make_project: Make) -> Project:
    """A project of films with posters, after `dvc repro pictures` and a commit. Tests only read it."""

    def make(root: Path) -> None:
        project = make_project(root, FILMS)
        write_posters(project)
        assert sorted(project.ran(project.run("dvc", "repro", "pictures"))) == [
            "crawl", "dataset", "image_encoder", "pictures",
        ]  # fmt: skip
        project.commit("Posters")

    return Project(once("looked_at", make))


@pytest.fixture
def copy(looked_at: Project, tmp_path: Path, preloaded: Path) -> Project:
    return looked_at.copied(tmp_path / "copy", preloaded)


def test_films_have_vectors_of_the_posters_that_can_be_seen(looked_at: Project) -> None:
    ids = list(read_parquet(looked_at.root / "data/facts.parquet")["id"])
    assert looked_at.json("metrics/pictures.json") == {
        "posters": 4,
        "trailers": 0,
        "unseen": {
            "posters": {"none_named": len(ids) - 6, "damaged": 1, "missing": 1},
            "trailers": {"none_named": len(ids)},
        },
    }
    posters, trailers = read_vectors(looked_at.root / "data/pictures.safetensors", films_digest(ids))
    assert set(posters) == {str(film["id"]) for n, film in enumerate(dramas(telling_films(FILMS))) if n not in {2, 5}}
    assert list(posters) == sorted(posters)
    assert trailers == {}
    assert {vector.shape for vector in posters.values()} == {(1280,)}


def test_a_second_repro_does_nothing_and_a_number_that_is_back_comes_from_the_run_cache(copy: Project) -> None:
    assert copy.ran(copy.run("dvc", "repro", "pictures")) == []
    more = copy.run("dvc", "exp", "run", "-S", "pictures.trailer_frames=3", "pictures")
    assert copy.ran(more) == ["image_encoder", "pictures"]
    assert "4 of 6, 0 of them new" in more.stderr
    assert copy.ran(copy.run("dvc", "exp", "run", "-S", "pictures.trailer_frames=2", "pictures")) == []
    copy.run("dvc", "exp", "run", "--temp", "-S", "pictures.trailer_frames=4", "pictures")


def test_a_poster_that_comes_later_is_seen_when_the_stage_is_forced(copy: Project) -> None:
    before = (copy.root / "data/pictures.safetensors").read_bytes()
    put(copy.root / "data/sample/posters/5.png", drawn(5))
    assert copy.ran(copy.run("dvc", "repro", "pictures")) == []  # DVC knows nothing of the files of posters
    forced = copy.run("dvc", "repro", "--force", "--single-item", "pictures")
    assert "posters: 5 of 6, 1 of them new, 1 damaged" in forced.stderr
    put(copy.root / "data/sample/posters/5.png", b"")
    (copy.root / STORE).unlink()
    copy.run("dvc", "repro", "--force", "--single-item", "pictures")
    assert (copy.root / "data/pictures.safetensors").read_bytes() == before


def test_own_vectors_are_a_kind_of_evidence_of_the_tagger(copy: Project) -> None:
    films = telling_films(FILMS)
    tags = sorted({tag for film in films for tag in film["tags"]})  # type: ignore[attr-defined]
    vectors = np.array([[tag in film["tags"] for tag in tags] for film in films], dtype=np.float32)  # type: ignore[operator]
    np.savez(copy.root / "hints.npz", ids=[str(film["id"]) for film in films], vectors=vectors)
    copy.run("dvc", "exp", "run", "-S", "tagger.vectors.files=[hints.npz]", "tagger")
    assert "hints" in copy.json("models/tagger/tagger.json")["evidence"]  # type: ignore[operator]
    assert "hints: 60 vectors" in (copy.root / "logs/tagger.log").read_text()
    refused = copy.run("dvc", "exp", "run", "-S", "tagger.vectors.files=[none.npz]", "tagger", check=False)
    assert "motags tagger: none.npz is missing: it should hold vectors of films" in refused.stderr

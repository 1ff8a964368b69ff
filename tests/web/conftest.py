"""A tagger that reads facts beside the text."""

from collections import Counter
from pathlib import Path

import pytest

from builders import MakeOnce, sample_films
from motags import Tagger


@pytest.fixture(scope="session")
def film_tagger_folder(tiny_encoder: Path, once: MakeOnce) -> Path:
    """A model's folder: a tagger that was trained in seconds on texts and facts of 120 films of the sample."""
    return once("film-tagger", lambda folder: make_film_tagger(folder, tiny_encoder))


def make_film_tagger(folder: Path, encoder: Path) -> None:
    """Write the model of `film_tagger_folder`."""
    films = sample_films(120)
    tags = [list(map(str, film["tags"])) for film in films]  # type: ignore[call-overload]
    counts = Counter(tag for film_tags in tags for tag in film_tags)
    kept = sorted(tag for tag, count in counts.items() if count >= 8)
    changes = {
        "tagger": {
            "folds": 2, "clusters": 4, "evidence": ["words", "names", "facts"],
            "encoder": {"trained_layers": 2, "epochs": 2, "min_steps": 1},
            "facts": {"min_films": 2, "C": 1.0, "shrinkage": 4.0}, "ranker": {"width": 16},
        },
        "embedder": {"model": str(encoder), "max_tokens": 64, "precision": "float32"},
    }  # fmt: skip
    tagger = Tagger(**changes, random_state=0)
    labels = [[tag for tag in film_tags if tag in kept] for film_tags in tags]
    tagger.fit(films, labels, tags=kept, kinds=dict.fromkeys(kept, "keyword")).save(folder)

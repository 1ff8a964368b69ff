"""A tagger that reads facts beside the text."""

from pathlib import Path

import pytest

from builders import MakeOnce, save_sample_tagger


@pytest.fixture(scope="session")
def film_tagger_folder(tiny_encoder: Path, once: MakeOnce) -> Path:
    """A model's folder: a tagger that was trained in seconds on texts and facts of 120 films of the sample."""
    kinds = {"evidence": ["words", "names", "facts"], "facts": {"min_films": 2, "C": 1.0, "shrinkage": 4.0}}
    return once("film-tagger", lambda folder: save_sample_tagger(folder, tiny_encoder, whole_films=True, **kinds))

"""Audit: whose label is doubted more, between tags, films and the two problems; what is written."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motags import Tagger
from motags.active_learning.audit import Suspect, doubts, suspects, write_suspects
from motags.errors import MotagsError
from motags.tagger.training_films import TrainingFilms

TAGS = ["war", "witch"]


def films(Y: np.ndarray, S: np.ndarray) -> TrainingFilms:
    n = len(Y)
    return TrainingFilms([f"f{i}" for i in range(n)], [f"Film {i}" for i in range(n)], np.ones((n, 1)), Y, S)


def planted(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores (n, 2) that agree, but that film 3 lacks "war" (0.95) and film 40 bears "witch" (0.01)."""
    rng = np.random.default_rng(seed)
    Y = np.zeros((n, 2), dtype=bool)
    Y[:20, 0] = Y[10:25, 1] = True
    S = np.where(Y, rng.uniform(0.6, 0.9, Y.shape), rng.uniform(0.011, 0.1, Y.shape)).astype(np.float32)
    Y[3, 0], S[3, 0] = False, 0.95
    Y[40, 1], S[40, 1] = True, 0.01
    return Y, S


def test_planted_errors_are_the_worst_and_are_called_by_their_kind() -> None:
    found = suspects(films(*planted()), TAGS)
    assert len(found) == 120
    assert found[0] == Suspect("f40", "Film 40", "witch", "wrong", pytest.approx(0.01), 1.0)
    missing = [one for one in found if one.problem == "missing"]
    assert missing[0][:4] == ("f3", "Film 3", "war", "missing")
    assert [one.doubt for one in found] == sorted((one.doubt for one in found), reverse=True)


def test_a_lower_score_makes_a_given_tag_more_doubtful_and_a_tag_not_given_less() -> None:
    Y, S = planted()
    before = doubts(Y, S)
    S[12] = S[50] = (0.3, 0.02)
    after = doubts(Y, S)
    assert (after[12] > before[12]).all()
    S[50] = 0.01
    assert (doubts(Y, S)[50] < after[50]).all()


def test_the_same_score_is_more_doubtful_of_a_tag_whose_other_films_score_higher() -> None:
    rng = np.random.default_rng(0)
    S = np.stack([rng.uniform(0.1, 0.9, 200), rng.uniform(0.001, 0.3, 200)], axis=1).astype(np.float32)
    Y = rng.random(S.shape) < S
    Y[0], S[0] = True, 0.12
    frequent, rare = doubts(Y, S)[0]
    assert frequent > 0.8
    assert rare < 0.1


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 10_000))
def test_doubts_are_shares_and_follow_their_films(n: int, t: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    Y, S = rng.random((n, t)) < 0.3, rng.random((n, t), dtype=np.float32)
    order = rng.permutation(n)
    found = doubts(Y, S)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(doubts(Y[order], S[order]), found[order], rtol=1e-12)


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("score", [0.0, 1.0])
def test_scores_at_the_ends_and_tags_that_all_or_no_films_bear_are_no_trouble(label: bool, score: float) -> None:
    found = doubts(np.full((3, 2), label), np.full((3, 2), score, dtype=np.float32))
    assert np.isfinite(found).all()


def test_as_many_are_told_as_asked_for_and_of_the_tag_asked_for() -> None:
    own = films(*planted())
    assert suspects(own, TAGS, top=5) == suspects(own, TAGS)[:5]
    witches = suspects(own, TAGS, tag="witch")
    assert witches == [one for one in suspects(own, TAGS) if one.tag == "witch"]
    with pytest.raises(MotagsError, match="'wich' is not a tag of this model; its tags: war, witch"):
        suspects(own, TAGS, tag="wich")


def test_without_films_there_is_nothing_to_audit() -> None:
    with pytest.raises(MotagsError, match="keeps no training films"):
        suspects(films(np.empty((0, 2), bool), np.empty((0, 2), np.float32)), TAGS)


def test_a_table_has_a_row_a_suspect_and_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.csv"
    write_suspects(
        path, [Suspect("=1+1", "@x, y", "-war", "wrong", 0.01234567, 0.5), Suspect("é", '"', "a", "missing", 1, 0)]
    )
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [
            ["id", "title", "tag", "problem", "score", "doubt"],
            ["'=1+1", "'@x, y", "'-war", "wrong", "0.0123", "0.5000"],
            ["é", '"', "a", "missing", "1.0000", "0.0000"],
        ]
    assert [file.name for file in path.parent.iterdir()] == ["audit.csv"]


def test_a_saved_tagger_is_audited(tagger_folder: Path) -> None:
    tagger = Tagger.load(tagger_folder)
    found = suspects(tagger.films_, tagger.tags_, top=20)
    assert len(found) == 20
    for one in found:
        given_ = tagger.films_.Y[tagger.films_.ids.index(one.id), tagger.tags_.index(one.tag)]
        assert one.problem == ("wrong" if given_ else "missing")

"""Filling a table: batches, what is old, and the one key that is at fault."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from operator import mul
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motags.sources.fetch import Failed
from motags.sources.fill import MAX_QUERY, Fill, batches, resolved
from motags.sources.store import Record, Table

DAY = timedelta(days=1)
OLD = timedelta(seconds=-1)  # everything is older than a second from now
ANY_KEYS = st.lists(st.text(max_size=30) | st.builds(mul, st.sampled_from("aé/ 映"), st.integers(0, 6000)))
KEYS = [f"film {number}" for number in range(20)]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "films")


class Source:
    """Gives records, fails where `broken` is asked for, and remembers what it was asked."""

    def __init__(self, *broken: str) -> None:
        self.broken = set(broken)
        self.asked: list[list[str]] = []

    def __call__(self, keys: Sequence[str]) -> list[Record]:
        self.asked.append(list(keys))
        if found := self.broken.intersection(keys):
            raise Failed(f"the site can't give {', '.join(sorted(found))}")
        return [Record(key, {"size": len(key)}, revision=1) for key in keys]


@given(ANY_KEYS, st.integers(1, 60))
def test_batches_joined_are_the_keys_and_each_fits(keys: list[str], size: int) -> None:
    found = list(batches(keys, size))
    assert [key for batch in found for key in batch] == keys
    for batch in found:
        assert 1 <= len(batch) <= size
        assert len(batch) == 1 or len(quote("|".join(batch))) <= MAX_QUERY


@given(ANY_KEYS, st.integers(1, 60))
def test_no_batch_could_have_taken_the_key_that_begins_the_next(keys: list[str], size: int) -> None:
    found = list(batches(keys, size))
    for batch, after in pairwise(found):
        assert len(batch) == size or len(quote("|".join([*batch, after[0]]))) > MAX_QUERY - 3


def test_keys_are_asked_for_once_each_in_their_order(table: Table) -> None:
    source = Source()
    Fill(DAY)(table, [*KEYS, *KEYS], source, 8)
    assert source.asked == [KEYS[:8], KEYS[8:16], KEYS[16:]]
    assert list(table) == KEYS


def test_what_is_there_is_not_asked_for_again(table: Table) -> None:
    source = Source()
    Fill(DAY)(table, KEYS[:5], source, 8)
    Fill(DAY)(table, KEYS[:9], source, 8)
    assert source.asked == [KEYS[:5], KEYS[5:9]]


@given(st.sets(st.sampled_from(KEYS)), st.integers(1, 20))
def test_halving_isolates_the_ones_at_fault(broken: set[str], size: int) -> None:
    fill = Fill(DAY)
    with TemporaryDirectory() as folder:
        table = Table(Path(folder) / "films")
        fill(table, KEYS, Source(*broken), size)
        table.close()
    assert [row.where for row in fill.aside] == [f"films {key}" for key in KEYS if key in broken]
    assert list(table) == [key for key in KEYS if key not in broken]


def test_one_key_at_fault_of_64_takes_13_requests(table: Table) -> None:
    keys = [str(number) for number in range(64)]
    source, fill = Source("37"), Fill(DAY)
    fill(table, keys, source, 64)
    assert len(source.asked) == 1 + 2 * 6
    assert [(row.where, row.reason) for row in fill.aside] == [("films 37", "the site can't give 37")]


def test_old_keys_are_fetched_again_where_there_are_no_revisions(table: Table) -> None:
    source = Source()
    Fill(DAY)(table, KEYS[:3], source, 2)
    Fill(OLD)(table, KEYS[:4], source, 2)
    assert source.asked[2:] == [KEYS[:2], KEYS[2:3], KEYS[3:4]]


def test_old_keys_that_nobody_wants_are_left_alone(table: Table) -> None:
    source = Source()
    Fill(DAY)(table, KEYS, source, 20)
    Fill(OLD)(table, KEYS[7:8], source, 20)
    assert source.asked[1:] == [[KEYS[7]]]


def now(**changes: int | None) -> Callable[[Sequence[str]], Mapping[str, int | None]]:
    return lambda keys: {key: changes.get(key.replace(" ", "_"), 1) for key in keys}


def test_of_old_keys_only_those_with_another_revision_are_fetched_again(table: Table) -> None:
    source = Source()
    Fill(DAY)(table, KEYS[:6], source, 6)
    Fill(OLD)(table, KEYS[:6], source, 6, now(film_2=2, film_4=None))
    assert source.asked[1:] == [["film 2", "film 4"]]


def test_what_has_not_changed_counts_as_looked_at_now(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source()
    monkeypatch.setattr("motags.sources.store._stamp", lambda time: (time - 2 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ"))
    Fill(DAY)(table, KEYS[:2], source, 2)
    monkeypatch.undo()
    assert table.older(DAY) == KEYS[:2]
    Fill(DAY)(table, KEYS[:2], source, 2, now())
    assert table.older(DAY) == []
    assert source.asked == [KEYS[:2]]


def test_what_was_fetched_before_is_kept_where_the_site_fails(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    Fill(DAY)(table, KEYS[:3], Source(), 3)
    before, fill = dict(table), Fill(OLD)
    with caplog.at_level(logging.WARNING):
        fill(table, KEYS[:3], Source("film 1"), 3)
    assert table["film 1"] == before["film 1"]
    assert fill.aside == []
    assert "films film 1: the site can't give film 1; what was fetched before is kept" in caplog.text


def test_nothing_is_fetched_again_where_revisions_fail(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Sequence[str]) -> Mapping[str, int | None]:
        raise Failed("the site is tired")

    source, fill = Source(), Fill(OLD)
    fill(table, KEYS[:3], source, 3)
    with caplog.at_level(logging.WARNING):
        fill(table, KEYS[:3], source, 3, fail)
    assert source.asked == [KEYS[:3]]
    assert "the site is tired; what was fetched before is kept" in caplog.text


def test_resolved_follows_a_redirect_that_has_become_two(table: Table) -> None:
    table.add([Record("a", {"redirect": "b"}), Record("b", {"redirect": "c"}), Record("c", {"id": 1})])
    table.add([Record("x", {"redirect": "y"}), Record("y", {"redirect": "x"})])
    assert resolved(table, "a") == table["c"]
    assert resolved(table, "x") is None
    source = Source()
    Fill(DAY)(table, ["a"], source)
    assert source.asked == []


def test_resolved_follows_a_redirect_and_knows_what_is_gone(table: Table) -> None:
    found, gone = Record("b", {"size": 1}), Record("c", gone="no such page")
    own_field = Record("e", {"redirect": "b", "id": 1})  # of the site that gave it
    table.add([Record("a", {"redirect": "b"}), found, gone, Record("d", {"redirect": "c"}), own_field])
    assert [resolved(table, key) for key in "abcd"] == [table["b"], table["b"], None, None]
    assert resolved(table, "e") == table["e"]
    assert resolved(table, "not there") is None

"""The store keeps what was fetched through kills at any byte, full disks and second crawlers."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motags.artifacts import checked
from motags.errors import MotagsError
from motags.sources import store as module
from motags.sources.store import Record, Table, opened

A, B, C = Record("a", {"title": "Ä 😀"}, 7), Record("b", gone="no such page"), Record("c", [1, [None, ""]])
NO_TIME = timedelta(days=1)


def shards(table: Table) -> list[Path]:
    return sorted(table.folder.glob("*.jsonl"))


def without_time(record: Record) -> tuple[Any, ...]:
    return record.key, record.content, record.revision, record.gone


def held(table: Table) -> dict[str, tuple[Any, ...]]:
    return {key: without_time(record) for key, record in table.items()}


def table_of(folder: Path, *records: Record) -> Table:
    table = Table(folder / "t")
    table.add(records)
    return table


def age(path: Path, days: dict[str, int]) -> None:
    """Have the records of these keys been fetched so many days ago."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        then = datetime.now(UTC) - timedelta(days=days.get(line["key"], 0))
        line["fetched"] = then.strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_an_empty_table_holds_nothing_and_leaves_no_folder(tmp_path: Path) -> None:
    table = Table(tmp_path / "t")
    table.add([])
    table.unchanged([])
    assert (len(table), list(table), "a" in table, table.drop(NO_TIME)) == (0, [], False, 0)
    assert not table.folder.exists()


def test_what_was_added_is_read_and_read_again_after_reopening(tmp_path: Path) -> None:
    table = table_of(tmp_path, A, B, C)
    assert [table[key] for key in table] == [Table(table.folder)[key] for key in "abc"]
    assert held(table) == {record.key: without_time(record) for record in (A, B, C)}
    fetched = datetime.strptime(table["a"].fetched, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert datetime.now(UTC) - fetched < timedelta(seconds=5)


def test_a_missing_key_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        table_of(tmp_path, A)["b"]


def test_the_last_record_of_a_key_counts(tmp_path: Path) -> None:
    table = table_of(tmp_path, A, B)
    table.add([Record("a", "new", 8)])
    for each in (table, Table(table.folder)):
        assert (each["a"].content, each.revision("a"), len(each)) == ("new", 8, 2)


@pytest.mark.parametrize("content", [[], {}, "", 0, False, "\ud800", "line\nbreak\r\u2028", {"a": {"b": [None]}}])
def test_any_json_comes_back_as_it_was(tmp_path: Path, content: object) -> None:
    table = table_of(tmp_path, Record("a", content))
    assert Table(table.folder)["a"].content == content


def test_records_are_added_all_or_none(tmp_path: Path) -> None:
    table = table_of(tmp_path, A)
    with pytest.raises(TypeError):
        table.add([B, Record("c", object())])
    assert list(table) == list(Table(table.folder)) == ["a"]


def test_a_stream_that_fails_keeps_what_came_in_whole_portions_before(tmp_path: Path) -> None:
    def five() -> Iterator[Record]:
        yield from (Record(str(number)) for number in range(5))
        raise ZeroDivisionError

    table = Table(tmp_path / "t")
    with pytest.raises(ZeroDivisionError):
        table.add_all(five(), at_once=2)
    assert list(Table(table.folder)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("bytes_left", [1, 20, -1])
def test_a_last_line_that_a_kill_cut_short_is_cut_off(tmp_path: Path, bytes_left: int) -> None:
    table = table_of(tmp_path, A, B)
    (shard,) = shards(table)
    first, last = shard.read_bytes().splitlines(keepends=True)
    shard.write_bytes(first + last[:bytes_left])
    again = Table(table.folder)
    assert list(again) == ["a"]
    assert shard.read_bytes() == first
    again.add([C])
    assert list(Table(table.folder)) == ["a", "c"]


@pytest.mark.parametrize(
    "wrong", [b"\0" * 9, b'{"key": "b"', b"[]", b'{"fetched": "x"}', b'{"key": "x", "same": true}']
)
def test_damage_before_the_last_line_is_refused_and_named(tmp_path: Path, wrong: bytes) -> None:
    table = table_of(tmp_path, A, B, C)
    (shard,) = shards(table)
    first, _, last = shard.read_bytes().splitlines(keepends=True)
    shard.write_bytes(first + wrong + b"\n" + last)
    with pytest.raises(MotagsError, match=rf"00000\.jsonl is damaged at byte {len(first)}: remove .*t and crawl"):
        Table(table.folder)


def test_old_records_are_found_until_they_are_looked_at_again(tmp_path: Path) -> None:
    table = table_of(tmp_path, A, B, C)
    age(shards(table)[0], {"a": 3, "b": 3})
    table = Table(table.folder)
    assert table.older(timedelta(days=2)) == ["a", "b"]
    table.unchanged(["a"])
    for each in (table, Table(table.folder)):
        assert each.older(timedelta(days=2)) == ["b"]
        assert held(each) == {record.key: without_time(record) for record in (A, B, C)}


def test_dropping_takes_old_records_out_of_the_files_and_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 1)
    table = table_of(tmp_path, A)
    for record in (B, C, Record("d", "secret plot")):
        table.add([record])
    for shard in shards(table):
        age(shard, {"a": 9, "c": 9, "d": 9})
    table = Table(table.folder)
    table.unchanged(["a"])
    assert table.drop(timedelta(days=8)) == 2
    for each in (table, Table(table.folder)):
        assert held(each) == {record.key: without_time(record) for record in (A, B)}
        assert each.older(timedelta(days=1)) == []
    assert "secret plot" not in "".join(shard.read_text() for shard in shards(table))
    table.add([C])
    assert list(Table(table.folder)) == ["a", "b", "c"]
    assert table.drop(timedelta(days=8)) == 0


def test_full_shards_are_followed_by_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 500)
    table = Table(tmp_path / "t")
    for number in range(50):
        table.add([Record(str(number), "x" * 40)])
    assert len(shards(table)) > 5
    assert all(shard.stat().st_size < 700 for shard in shards(table))
    assert held(Table(table.folder)) == held(table)
    assert list(Table(table.folder)) == [str(number) for number in range(50)]


def test_closing_leaves_the_table_usable(tmp_path: Path) -> None:
    table = table_of(tmp_path, A)
    table.close()
    table.add([B])
    assert list(Table(table.folder)) == ["a", "b"]
    assert table["a"].content == A.content


JSONS = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
RECORDS = st.builds(Record, st.sampled_from("abcdef"), JSONS, st.none() | st.integers(0, 99), st.none() | st.text())
STEPS = st.lists(st.lists(RECORDS, max_size=4) | st.integers(0, 400), max_size=12)


@pytest.mark.slow
@given(STEPS, st.sampled_from([1, 200, 10**9]))
@settings(max_examples=100)
def test_any_adds_and_reopenings_with_cuts_at_any_byte_give_a_prefix_of_what_was_added(
    steps: Sequence[list[Record] | int], shard_bytes: int
) -> None:
    """A number among the steps cuts so many bytes off the last shard, as a kill does, and reopens the table."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_BYTES", shard_bytes)
        table, added = Table(Path(folder) / "t"), list[Record]()
        for step in steps:
            if isinstance(step, list):
                table.add(step)
                added += step
            elif files := shards(table):
                table.close()
                size = files[-1].stat().st_size
                os.truncate(files[-1], max(0, size - step))
                added = added[: sum(file.read_bytes().count(b"\n") for file in files)]
                table = Table(table.folder)
            assert held(table) == {record.key: without_time(record) for record in added}
        table.close()
        assert held(Table(table.folder)) == held(table)
        table.close()


HOLD = """
import sys, time
from pathlib import Path
from motags.sources.store import Record, opened
with opened(Path(sys.argv[1])) as store:
    store["t"].add([Record("a", 1)])
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_store_has_one_owner_at_a_time_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "raw")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            said = (
                rf"raw\.lock is held by process {holder.pid}, at work since 20\d\d-.*Z: wait until it ends, or stop it"
            )
            with pytest.raises(MotagsError, match=said), opened(tmp_path / "raw"):
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
    with opened(tmp_path / "raw") as store:
        assert store["t"]["a"].content == 1


def test_a_store_is_sealed_when_its_block_succeeds_and_opens_again(tmp_path: Path) -> None:
    for key in "ab":
        with opened(tmp_path / "raw") as store:
            store["t"].add([Record(key)])
        assert checked(tmp_path / "raw")
    with opened(tmp_path / "raw") as store:
        assert list(store["t"]) == ["a", "b"]
    assert {path.name for path in tmp_path.iterdir()} <= {"raw", ".raw.lock"}


def test_a_store_whose_block_fails_keeps_what_was_added_and_opens_again(tmp_path: Path) -> None:
    def stopped() -> None:
        with opened(tmp_path / "raw") as store:
            store["t"].add([A])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not (tmp_path / "raw/SHA256SUMS").exists()
    with opened(tmp_path / "raw") as store:
        assert list(store["t"]) == ["a"]


def test_a_sealed_store_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "raw") as store:
        store["t"].add([A])
    (shard,) = (tmp_path / "raw/t").iterdir()
    shard.write_bytes(shard.read_bytes().replace(b"title", b"tible"))
    with pytest.raises(MotagsError, match="is damaged: its sha256 is"), opened(tmp_path / "raw"):
        pass


# A limit on a file's size fails a write half-way, as a full disk does.
FULL = """
import resource, sys
from pathlib import Path
from motags.errors import MotagsError
from motags.sources.store import Record, opened
def room(left):
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, resource.RLIM_INFINITY))
folder, when = Path(sys.argv[1]), sys.argv[2]
try:
    with opened(folder) as store:
        store["t"].add([Record("a", "x" * 100)])
        room(0 if when == "sealing" else 300)
        if when == "adding":
            store["t"].add([Record("b", "y" * 100), Record("c", "z" * 500)])
    print("done")
except (MotagsError, OSError) as error:
    print(error)
"""


@pytest.mark.parametrize("when", ["adding", "sealing"])
def test_a_store_on_a_full_disk_keeps_what_it_has_and_opens_again(tmp_path: Path, when: str) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "raw"), when]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    with opened(tmp_path / "raw") as store:
        assert list(store["t"]) == ["a"]
        store["t"].add([B])
    assert checked(tmp_path / "raw")

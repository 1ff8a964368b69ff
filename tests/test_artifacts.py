"""Files between stages: whole or not at all, the same twice, and refused when a byte is off."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from motags.artifacts import checked, is_first_process, read_arrays, replacing, seal, sealing, write_arrays, write_json
from motags.errors import MotagsError
from motags.tables import read_parquet, write_csv, write_parquet

Writing = Callable[[Path], AbstractContextManager[Path]]


def films() -> pd.DataFrame:
    columns = {"id": ["a", "b", "c"], "text": ["naïve 😀", "=CSV()", "שלום"], "tags": [["x", "y"], ["x"], []]}
    return pd.DataFrame(columns).assign(year=pd.array([1920, None, 2024], dtype="Int32"))


def write_folder(path: Path, text: str = "old") -> None:
    with sealing(path) as folder:
        (folder / "sub").mkdir(parents=True)
        for name in ("a.txt", "sub/b.txt", "sub/ü with spaces.txt"):
            (folder / name).write_text(f"{text} {name}\n", encoding="utf-8")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(file: Path, data: st.DataObject) -> None:
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fail_half_way(writing: Writing, path: Path, write: Callable[[Path], object]) -> None:
    with writing(path) as temporary:
        write(temporary)
        raise RuntimeError


def assert_flip_is_named(read: Callable[[], object], file: Path, data: st.DataObject) -> None:
    sealed = digest(file)
    flip(file, data)
    with pytest.raises(MotagsError) as error:
        read()
    for part in (str(file), sealed, digest(file)):
        assert part in str(error.value)


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    write_parquet(tmp_path / "new/films.parquet", films())
    back = read_parquet(tmp_path / "new/films.parquet")
    back["tags"] = back["tags"].map(list)
    pd.testing.assert_frame_equal(back, films())


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    square = np.arange(12, dtype=np.float32).reshape(3, 4)
    arrays = {"turned": square.T, "strided": square[:, ::2], "yes": square > 5, "none": np.zeros((0, 7), np.int64)}
    write_arrays(tmp_path / "x.safetensors", arrays, "c0ffee")
    back = read_arrays(tmp_path / "x.safetensors", "c0ffee")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


def test_json_is_sorted_rounded_and_takes_numpy_numbers(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"b": np.float32(0.5), "a": {"y": 1 / 3, "x": np.int64(3)}})
    text = (tmp_path / "m.json").read_text()
    assert text == '{\n  "a": {\n    "x": 3,\n    "y": 0.3333\n  },\n  "b": 0.5\n}\n'


@pytest.mark.parametrize("bad", [float("nan"), np.float32("nan"), float("inf")])
def test_json_refuses_what_is_no_number_and_keeps_the_old(tmp_path: Path, bad: float) -> None:
    write_json(tmp_path / "m.json", {"loss": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"loss": {"epoch": bad}})
    assert list(tree(tmp_path)) == ["m.json"]
    assert json.loads((tmp_path / "m.json").read_text()) == {"loss": 1}


def test_csv_has_four_decimals(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"tag": ["sea, the", "ü"], "f1": [1 / 3, -0.5], "films": [3, 4]}))
    assert (tmp_path / "t.csv").read_bytes() == 'tag,f1,films\n"sea, the",0.3333,3\nü,-0.5000,4\n'.encode()


@pytest.mark.parametrize("formula", ["=CSV()", "+1+1", "-1+1", "@SUM(A1)"])
def test_csv_neutralises_formulas(tmp_path: Path, formula: str) -> None:
    # tags and titles come from the catalogue, and a spreadsheet runs a cell that begins like this
    write_csv(tmp_path / "t.csv", pd.DataFrame({"tag": [formula], "films": [-3]}))
    cell, number = (tmp_path / "t.csv").read_text().splitlines()[1].rsplit(",", 1)
    assert cell.strip('"')[0] not in "=+-@"
    assert formula in cell
    assert number == "-3"


@settings(max_examples=40)
@given(data=st.data())
def test_any_flipped_byte_of_a_table_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    file = tmp_path_factory.mktemp("table") / "films.parquet"
    write_parquet(file, films())
    assert_flip_is_named(lambda: read_parquet(file), file, data)


@settings(max_examples=40)
@given(data=st.data())
def test_any_flipped_byte_of_arrays_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    file = tmp_path_factory.mktemp("arrays") / "x.safetensors"
    write_arrays(file, {"X": np.ones((5, 3), np.float32)}, "c0ffee")
    assert_flip_is_named(lambda: read_arrays(file, "c0ffee"), file, data)


@settings(max_examples=40)
@given(data=st.data(), name=st.sampled_from(["a.txt", "sub/b.txt", "sub/ü with spaces.txt"]))
def test_any_flipped_byte_in_a_folder_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    folder = tmp_path_factory.mktemp("folder") / "encoder"
    write_folder(folder)
    assert_flip_is_named(lambda: checked(folder), folder / name, data)


@settings(max_examples=100)
@given(data=st.data())
def test_a_damaged_seal_is_refused_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    # a line end may become another line end; all else must be a MotagsError, never a traceback
    file = tmp_path_factory.mktemp("seal") / "films.parquet"
    write_parquet(file, films())
    flip(file.with_name("films.parquet.sha256"), data)
    with suppress(MotagsError):
        pd.testing.assert_frame_equal(read_parquet(file)[["id", "text", "year"]], films()[["id", "text", "year"]])


def test_a_missing_file_or_seal_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "films.parquet"
    with pytest.raises(MotagsError, match=r"films\.parquet is missing"):
        read_parquet(file)
    write_parquet(file, films())
    file.with_name("films.parquet.sha256").unlink()
    with pytest.raises(MotagsError, match=r"has no seal .*films\.parquet\.sha256"):
        read_parquet(file)


def test_the_seal_of_another_file_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "films.parquet", films())
    write_parquet(tmp_path / "split.parquet", films())
    shutil.copy(tmp_path / "split.parquet.sha256", tmp_path / "films.parquet.sha256")
    with pytest.raises(MotagsError, match=r"name different files: films\.parquet, split\.parquet"):
        read_parquet(tmp_path / "films.parquet")


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda folder: (folder / "SHA256SUMS").unlink(), "has no seal"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "a.txt, sub/b.txt"),
        (lambda folder: (folder / "a.txt").unlink(), "different files: a.txt"),
        (lambda folder: (folder / "sub/extra").touch(), "different files: sub/extra"),
        (lambda folder: (folder / "sub/b.txt").rename(folder / "c.txt"), "different files: c.txt, sub/b.txt"),
        (lambda folder: (folder / "sub/SHA256SUMS").touch(), "different files: sub/SHA256SUMS"),
        (shutil.rmtree, "is missing"),
    ],
    ids=["no seal", "empty seal", "missing file", "extra file", "moved file", "extra file named like a seal", "gone"],
)
def test_a_folder_that_is_not_what_was_sealed_is_refused(
    tmp_path: Path, harm: Callable[[Path], object], named: str
) -> None:
    folder = tmp_path / "encoder"
    write_folder(folder)
    assert checked(folder) == folder
    harm(folder)
    with pytest.raises(MotagsError, match=named):
        checked(folder)


def test_arrays_of_other_films_are_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.safetensors", {"X": np.ones(3)}, "c0ffee")
    with pytest.raises(MotagsError, match=r"made from other films \(c0ffee, not decaf\)"):
        read_arrays(tmp_path / "x.safetensors", "decaf")


def test_arrays_that_name_no_films_are_refused(tmp_path: Path) -> None:
    with sealing(tmp_path / "x.safetensors") as file:
        save_file({"X": np.ones(3)}, file)
    with pytest.raises(MotagsError, match="made from other films"):
        read_arrays(tmp_path / "x.safetensors", "c0ffee")


@pytest.mark.parametrize("writing", [replacing, sealing])
@pytest.mark.parametrize("old", [True, False])
def test_a_failure_inside_leaves_the_old_file_and_nothing_else(tmp_path: Path, writing: Writing, old: bool) -> None:
    if old:
        write_parquet(tmp_path / "films.parquet", films())
    before = tree(tmp_path)
    with pytest.raises(RuntimeError):
        fail_half_way(writing, tmp_path / "films.parquet", lambda file: file.write_text("half"))
    assert tree(tmp_path) == before


@pytest.mark.parametrize("writing", [replacing, sealing])
@pytest.mark.parametrize("old", [True, False])
def test_a_failure_inside_leaves_the_old_folder_and_nothing_else(tmp_path: Path, writing: Writing, old: bool) -> None:
    if old:
        write_folder(tmp_path / "encoder")
    (tmp_path / "half").mkdir()
    (tmp_path / "half/a.txt").write_text("half")
    before = tree(tmp_path)
    with pytest.raises(RuntimeError):
        fail_half_way(writing, tmp_path / "encoder", lambda folder: shutil.copytree(tmp_path / "half", folder))
    assert tree(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == ({"encoder", "half"} if old else {"half"})


def test_new_content_replaces_all_of_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "encoder")
    with sealing(tmp_path / "encoder") as folder:
        folder.mkdir()
        (folder / "only.txt").write_text("new")
    assert {file.name for file in checked(tmp_path / "encoder").iterdir()} == {"only.txt", "SHA256SUMS"}
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    foreign, sealed = tmp_path / "foreign", tmp_path / "sealed"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("Dear Ana")
    write_folder(sealed)
    before = tree(tmp_path)
    with pytest.raises(MotagsError, match="foreign is a folder that motags did not make"):
        write_folder(foreign)
    with pytest.raises(MotagsError, match="foreign is a folder that motags did not make"):
        write_json(foreign, {})
    with pytest.raises(MotagsError, match="sealed is a folder, which a file can't replace"):
        write_json(sealed, {})
    with pytest.raises(MotagsError, match="null is no regular file that motags did not make"):
        write_json(Path("/dev/null"), {})
    assert tree(tmp_path) == before


def test_a_folder_that_grew_is_sealed_anew(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    write_folder(folder)
    (folder / "a.txt").write_text("more")
    (folder / "sub/c.txt").touch()
    with pytest.raises(MotagsError):
        checked(folder)
    before = {name: content for name, content in tree(folder).items() if name != "SHA256SUMS"}
    seal(folder)
    assert checked(folder) == folder
    assert {name: content for name, content in tree(folder).items() if name != "SHA256SUMS"} == before
    sealed = (folder / "SHA256SUMS").read_bytes()
    seal(folder)
    assert (folder / "SHA256SUMS").read_bytes() == sealed


def test_an_empty_folder_may_be_sealed(tmp_path: Path) -> None:
    seal(tmp_path)
    assert checked(tmp_path) == tmp_path
    (tmp_path / "extra").touch()
    with pytest.raises(MotagsError, match="different files: extra"):
        checked(tmp_path)


@pytest.mark.parametrize(("rank", "first"), [(None, True), ("0", True), ("1", False), ("15", False)])
def test_a_process_knows_whether_it_is_the_first(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, first: bool
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank:
        monkeypatch.setenv("RANK", rank)
    assert is_first_process() == first


def test_under_torchrun_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "films.parquet", films())
    before = tree(tmp_path)
    monkeypatch.setenv("RANK", "1")
    write_parquet(tmp_path / "films.parquet", films().head(1))
    assert tree(tmp_path) == before
    monkeypatch.setenv("RANK", "0")
    write_parquet(tmp_path / "films.parquet", films().head(1))
    assert len(read_parquet(tmp_path / "films.parquet")) == 1


# For each n, an old pair and a child that writes a new one but is killed before its n-th change to
# the file system; ends with the child that lives.
KILLED = """
import os, signal, sys
from pathlib import Path
from motags.artifacts import sealing

def put(path, text):
    with sealing(path) as new:
        if path.name == "folder":
            new.mkdir()
        for file in (new / "a", new / "b") if path.name == "folder" else [new]:
            file.write_text(text * 3)

def die_before(n):
    seen = 0
    def hook(event, _):
        nonlocal seen
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
            if seen == n:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
    sys.addaudithook(hook)

for n in range(100):
    path = Path(sys.argv[1], f"{n:03}", sys.argv[2])
    put(path, "old")
    child = os.fork()
    if not child:
        die_before(n)
        put(path, "new")
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        break
"""


def found(path: Path) -> str:
    try:
        texts = (
            {file.read_text() for file in checked(path).glob("[ab]")} if path.is_dir() else {checked(path).read_text()}
        )
    except MotagsError:
        return "refused"
    assert len(texts) == 1, "a mix of old and new"
    return texts.pop()[:3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL and fork")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_at_any_point_the_output_is_old_or_new_or_refused(tmp_path: Path, kind: str) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), kind], check=True)
    paths = [folder / kind for folder in sorted(tmp_path.iterdir())]
    outcomes = [found(path) for path in paths]
    assert outcomes == sorted(outcomes, key=["old", "refused", "new"].index)
    assert set(outcomes) == {"old", "refused", "new"}
    for path in paths:  # and the next run mends it
        write_parquet(path, films()) if kind == "file" else write_folder(path)
        checked(path)


# A limit on a file's size fails a write half-way, as a full disk does.
FULL = """
import resource, sys
from pathlib import Path
import numpy as np
import pandas as pd
from motags.errors import MotagsError
from motags.artifacts import *
from motags.tables import *

def folder(path):
    with sealing(path) as new:
        new.mkdir()
        (new / "small").write_text("new")
        (new / "large").write_bytes(bytes(100_000))

def short(path):
    with sealing(path) as new:
        new.write_text("new")

noise = np.random.default_rng(0).random(20_000)
writes = {
    "films.parquet": lambda path: write_parquet(path, pd.DataFrame({"x": noise})),
    "x.safetensors": lambda path: write_arrays(path, {"x": noise}, "c0ffee"),
    "m.json": lambda path: write_json(path, dict(enumerate(noise.tolist()))),
    "t.csv": lambda path: write_csv(path, pd.DataFrame({"x": noise})),
    "folder": folder,
    "short": short,  # its few bytes fit, its seal does not
}
for name, write in writes.items():
    limit = 20 if name == "short" else 30_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(Path(sys.argv[1], name))
    except MotagsError as error:
        assert "can't be written" in str(error), error
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(name)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk_leaves_the_old_output_and_nothing_half_written(tmp_path: Path, old: bool) -> None:
    if old:
        write_parquet(tmp_path / "films.parquet", films())
        write_arrays(tmp_path / "x.safetensors", {"X": np.ones(3)}, "c0ffee")
        write_json(tmp_path / "m.json", {"loss": 1})
        write_csv(tmp_path / "t.csv", pd.DataFrame({"x": [1]}))
        write_folder(tmp_path / "folder")
        with sealing(tmp_path / "short") as file:
            file.write_text("old")
    before = tree(tmp_path)
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["films.parquet", "x.safetensors", "m.json", "t.csv", "folder", "short"]
    assert tree(tmp_path) == before


TWICE = """
import sys
from pathlib import Path
import numpy as np
import pandas as pd
from motags.artifacts import *
from motags.tables import *

out = Path(sys.argv[1])
tags = sorted({"sea", "storm", "war", "love"})
write_parquet(out / "films.parquet", pd.DataFrame({"id": tags, "tags": [tags[:i] for i in range(4)]}))
write_arrays(out / "x.safetensors", {name: np.ones(3) for name in {"a", "b", "c", "d"}}, "c0ffee")
write_json(out / "m.json", {name: 0.1 for name in {"a", "b", "c", "d"}})
write_csv(out / "t.csv", pd.DataFrame({"tag": tags}))
with sealing(out / "encoder") as folder:
    folder.mkdir()
    for name in {"a", "b", "c", "d"}:
        (folder / name).write_text(name)
"""


def test_the_same_content_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", TWICE, str(tmp_path / seed)], env=env, check=True)
    assert len(tree(tmp_path / "1")) == 11
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_seals_pass_sha256sum(tmp_path: Path) -> None:
    write_parquet(tmp_path / "films.parquet", films())
    write_folder(tmp_path / "encoder")
    check = ["sha256sum", "--strict", "--check"]
    subprocess.run([*check, "films.parquet.sha256"], cwd=tmp_path, check=True)
    done = subprocess.run([*check, "SHA256SUMS"], cwd=tmp_path / "encoder", check=True, capture_output=True)
    assert done.stdout.decode().count(": OK") == 3

"""A user's own vectors: read from files of every kind, refused in one line, put beside films by id."""

import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import ROOT, put
from motags.errors import MotagsError
from motags.evidence.kinds import BUILT_IN
from motags.evidence.vector_files import Counts, read_vectors, with_vectors
from motags.films.text import Entry
from motags.tagger.training import TaggerParams

REAL = ROOT.parent / "shared" / "real"
IDS, VECTORS = ["a", "ö", "27205"], np.array([[1.0, -2.0], [0.0, 0.0], [0.5, 3.0]])


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(MotagsError) as caught:
        read_vectors(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_read(path: Path) -> None:
    ids, vectors = read_vectors(path)
    assert ids == IDS
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npz_of_any_precision_is_read(tmp_path: Path, dtype: type) -> None:
    is_read(npz(tmp_path / "a.npz", ids=np.array(IDS), vectors=VECTORS.astype(dtype)))


def test_whole_numbers_are_ids_and_vectors(tmp_path: Path) -> None:
    ids, vectors = read_vectors(npz(tmp_path / "a.npz", ids=np.array([27205, 155]), vectors=np.array([[1], [2]])))
    assert ids == ["27205", "155"]
    np.testing.assert_array_equal(vectors, np.array([[1], [2]], dtype=np.float32))


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.float16()), pa.list_(pa.float32())]
)
def test_parquet_with_a_column_of_lists_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    rows = [list(row) for row in VECTORS.astype(np.float16)]
    is_read(parquet(tmp_path / "a.parquet", id=IDS, vector=pa.array(rows, kind)))


def test_parquet_with_a_column_for_each_number_is_read(tmp_path: Path) -> None:
    is_read(parquet(tmp_path / "a.parquet", v0=VECTORS[:, 0], id=IDS, v1=VECTORS[:, 1]))
    categories = pa.array(IDS).dictionary_encode()
    is_read(parquet(tmp_path / "b.parquet", id=categories, v0=VECTORS[:, 0], v1=VECTORS[:, 1]))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"vectors": VECTORS}, "has no array 'ids': it needs ids and vectors"),
        ({"a": VECTORS}, "has no array 'ids' and no array 'vectors'"),
        ({"ids": IDS[:2], "vectors": VECTORS}, "has 2 ids and 3 vectors: give as many of each"),
        ({"ids": ["a", "b", "a"], "vectors": VECTORS}, "has the id 'a' twice"),
        ({"ids": IDS, "vectors": VECTORS[:, 0]}, r"vectors have the shape (3,): expected films and numbers"),
        ({"ids": IDS, "vectors": VECTORS[:, :0]}, "holds no numbers: its vectors have the shape (3, 0)"),
        ({"ids": np.array([], dtype="U1"), "vectors": VECTORS[:0]}, "holds no numbers"),
        ({"ids": [1.5, 2.5, 3.5], "vectors": VECTORS}, "ids are float64 (3,): expected a list of texts or whole"),
        ({"ids": [IDS], "vectors": VECTORS}, "ids are <U5 (1, 3)"),
        ({"ids": IDS, "vectors": VECTORS.astype(str)}, "expected numbers"),
        ({"ids": IDS, "vectors": VECTORS > 0}, "vectors are bool: expected numbers"),
        ({"ids": IDS, "vectors": np.where(VECTORS == 3, np.nan, VECTORS)}, "the vector of '27205' has a number that"),
        ({"ids": IDS, "vectors": np.where(VECTORS == -2, np.inf, VECTORS)}, "the vector of 'a' has a number that is"),
        ({"ids": IDS, "vectors": np.where(VECTORS == 3, 1e300, VECTORS)}, "NaN, infinite or missing"),
        ({"ids": np.array(IDS, dtype=object), "vectors": VECTORS}, "it holds pickled objects, which are not read"),
    ],
)
def test_npz_that_can_not_be_used_is_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    path = npz(tmp_path / "a.npz", **arrays)
    assert refusal(path).startswith(str(path))
    assert said in refusal(path)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"film": IDS, "v0": [1.0, 2.0, 3.0]}, "has no column 'id': it has film, v0"),
        ({"id": IDS}, "has no vectors: it needs a column 'vector' of lists, or a column for each number"),
        ({"id": ["a", None, "b"], "v0": [1.0, 2.0, 3.0]}, "the id of row 1 is None"),
        ({"id": [1.5, 2.5, 3.5], "v0": [1.0, 2.0, 3.0]}, "the id of row 0 is 1.5: expected text or a whole number"),
        ({"id": [True, False], "v0": [1.0, 2.0]}, "the id of row 0 is True"),
        ({"id": ["a", "a"], "v0": [1.0, 2.0]}, "has the id 'a' twice"),
        ({"id": IDS, "title": ["A", "B", "C"]}, "the column 'title' is of string: expected numbers"),
        ({"id": IDS, "v0": [1.0, None, 3.0]}, "the vector of 'ö' has a number that is NaN, infinite or missing"),
        ({"id": IDS, "vector": [1.0, 2.0, 3.0]}, "the column 'vector' is double: expected lists of numbers"),
        ({"id": IDS, "vector": [["x"], ["y"], ["z"]]}, "the column 'vector' is of string: expected numbers"),
        ({"id": IDS, "vector": [[1.0, 2.0], [1.0], [2.0]]}, "the vector of 'ö' has 1 numbers, that of 'a' 2"),
        ({"id": IDS, "vector": [[1.0], [1.0], None]}, "the vector of '27205' has 0 numbers, that of 'a' 1"),
        ({"id": IDS, "vector": [[1.0], [None], [2.0]]}, "the vector of 'ö' has a number that is NaN"),
        ({"id": pa.array([], pa.string()), "vector": pa.array([], pa.list_(pa.float32()))}, "holds no numbers"),
    ],
)
def test_parquet_that_can_not_be_used_is_refused(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    assert said in refusal(parquet(tmp_path / "a.parquet", **columns))


def test_files_that_are_none_of_ours_are_refused(tmp_path: Path) -> None:
    assert "vectors come in .npz or .parquet, not in '.csv'" in refusal(tmp_path / "a.csv")
    assert "not in 'nothing'" in refusal(tmp_path / "a")
    assert "is missing" in refusal(tmp_path / "a.npz")
    (tmp_path / "folder.npz").mkdir()
    assert "is no file" in refusal(tmp_path / "folder.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = (npz if name == "a.npz" else parquet)(path, **_both(name)).read_bytes()
    for damaged in (b"", b"no vectors", whole[: len(whole) // 2], whole[:-10], b"\x93NUMPY\x01\x00", whole[3:]):
        assert "can't be read as vectors: " in refusal(put(path, damaged))


def _both(name: str) -> dict[str, Any]:
    return {"ids": IDS, "vectors": VECTORS} if name == "a.npz" else {"id": IDS, "vector": VECTORS.tolist()}


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_vectors_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: int, bit: int
) -> None:
    path = (npz if name == "a.npz" else parquet)(tmp_path_factory.getbasetemp() / name, **_both(name))
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    said = ""
    try:
        read_vectors(put(path, bytes(content)))
    except MotagsError as error:
        said = str(error)
    assert "\n" not in said


def test_an_array_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("ids.npy", b"text")
        file.writestr("vectors", b"text")
    assert "has no array 'ids' and no array 'vectors'" in refusal(tmp_path / "a.npz")


def test_without_pyarrow_npz_is_read_and_parquet_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "a.parquet", id=IDS, vector=VECTORS.tolist())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refusal(path).endswith("needs pyarrow: pip install 'motags[parquet]'")
    is_read(npz(tmp_path / "a.npz", ids=IDS, vectors=VECTORS))


def films(*ids: str) -> list[Entry]:
    return [Entry(id_, None, f"text of {id_}") for id_ in ids]


def test_films_get_the_vectors_of_their_ids_and_what_does_not_match_is_counted(tmp_path: Path) -> None:
    one = npz(tmp_path / "sound.npz", ids=["b", "a", "x", "y"], vectors=np.arange(8.0).reshape(4, 2))
    other = parquet(tmp_path / "views.v2.parquet", id=["c"], vector=[[9.0]])
    before = films("a", "b", "c")
    after, counts = with_vectors(before, [one, other])
    assert [film.id for film in after] == ["a", "b", "c"]
    assert [film.text for film in after] == [film.text for film in before]
    assert [{name: list(v) for name, v in film.vectors.items()} for film in after] == [
        {"sound": [2.0, 3.0]}, {"sound": [0.0, 1.0]}, {"views.v2": [9.0]},
    ]  # fmt: skip
    assert counts == {"sound": Counts(2, 1), "views.v2": Counts(0, 2)}
    assert not any(film.vectors for film in before)


def test_vectors_that_films_have_already_stay(tmp_path: Path) -> None:
    film = Entry("a", None, "", vectors={"poster": np.zeros(3)})
    (after,), _ = with_vectors([film], [npz(tmp_path / "sound.npz", ids=["a"], vectors=[[1.0]])])
    assert list(after.vectors) == ["poster", "sound"]
    assert with_vectors([film], []) == ([film], {})


@pytest.mark.parametrize("name", BUILT_IN)
def test_names_of_evidence_that_motags_has_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MotagsError, match=f"{name!r} is a kind of evidence that motags has itself: rename the file"):
        with_vectors([], [tmp_path / f"{name}.npz"])


def test_every_kind_of_the_tagger_is_among_the_names_that_are_refused() -> None:
    (kinds,) = get_args(TaggerParams.model_fields["evidence"].annotation)
    assert {*BUILT_IN, "vectors"} == {"text", *get_args(kinds)}


def test_two_files_of_one_name_and_odd_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match="would both be the evidence 'sound': rename one"):
        with_vectors([], [tmp_path / "sound.npz", tmp_path / "other" / "sound.parquet"])
    for odd in ("a\nb.npz", "-a.npz", "a\udcffb.npz"):
        with pytest.raises(MotagsError, match="can't name evidence"):
            with_vectors([], [tmp_path / odd])


@settings(max_examples=50)
@given(data=st.data())
def test_the_order_of_a_file_changes_nothing(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.text("abcö1 ", min_size=1, max_size=3), min_size=1, max_size=6, unique=True))
    d = data.draw(st.integers(1, 3))
    numbers = st.floats(-1e6, 1e6, width=32)
    vectors = np.array(
        data.draw(st.lists(st.lists(numbers, min_size=d, max_size=d), min_size=len(ids), max_size=len(ids)))
    )
    order = data.draw(st.permutations(range(len(ids))))
    own = films(*data.draw(st.lists(st.text("abcö1 ", min_size=1, max_size=3), max_size=6, unique=True)))
    folder = tmp_path_factory.getbasetemp()
    one, counts = with_vectors(own, [npz(folder / "mine.npz", ids=ids, vectors=vectors)])
    shuffled = npz(folder / "mine.npz", ids=[ids[row] for row in order], vectors=vectors[list(order)])
    other, others_counts = with_vectors(own, [shuffled])
    table = parquet(folder / "mine.parquet", id=[ids[row] for row in order], vector=vectors[list(order)].tolist())
    third, third_counts = with_vectors(own, [table])
    assert counts == others_counts == third_counts
    for films_of_file in (other, third):
        for film, same in zip(one, films_of_file, strict=True):
            assert film.vectors.keys() == same.vectors.keys()
            assert all(np.array_equal(film.vectors[name], same.vectors[name]) for name in film.vectors)


@pytest.mark.skipif(not REAL.exists(), reason="shared/real is missing")
def test_the_vectors_of_real_trailers_are_read() -> None:
    ids, vectors = read_vectors(REAL / "trailers.npz")
    assert (len(ids), vectors.shape) == (1941, (1941, 1024))
    assert "27205" in ids

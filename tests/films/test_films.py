"""Catalogues in: the same films from every format, and every unusable row set aside with line and reason."""

import gzip
import logging
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import as_csv, as_jsonl, as_parquet, put
from motags.errors import MotagsError
from motags.films.catalogue import HAVING, SetAside, read_catalogue, read_films, summary, write_rows
from motags.films.film import COLUMNS, Film, Origin, Tag
from motags.films.markup import shown_text
from motags.films.values import FACTS, LISTS, NOTHING, plain_text

BLANK: dict[str, Any] = dict.fromkeys(["year", "plot", "synopsis", "lead", "tagline"])
ROWS: list[dict[str, Any]] = [
    {"id": "b", "title": "Bells"} | BLANK | {"year": 1999, "plot": 'A "quoted",\nlong plot.', "tags": ["Drama"]},
    {"id": "c", "title": "Café 😀"} | BLANK | {"synopsis": "שלום", "tagline": "Hear!", "tags": ["sea", "war"]},
    {"id": "a", "title": "=A1"} | BLANK | {"year": 1920, "synopsis": "Short.", "lead": "A film.", "tags": []},
]


def catalogue(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    content = {"jsonl": as_jsonl, "csv": as_csv, "parquet": as_parquet}[kind.removesuffix(".gz")](rows)
    return put(folder / f"films.{kind}", gzip.compress(content) if kind.endswith(".gz") else content)


def good(n: int) -> list[dict[str, Any]]:
    return [{"id": f"g{i:03}", "title": f"Good {i}", "synopsis": "A story é."} for i in range(n)]


def only(tmp_path: Path, **fields: Any) -> Film:
    films, _ = read_catalogue(catalogue(tmp_path, "jsonl", [{"id": "a", "title": "A", "lead": None} | fields]), 0.0)
    return films[0]


def row_of(film: Film) -> dict[str, Any]:
    """What a catalogue says of a film; of facts those that it has."""
    told = film.model_dump(include=set(COLUMNS)) | {"tags": names(film)}
    return {name: value for name, value in told.items() if value or name not in FACTS}


def names(film: Film) -> list[str]:
    return [tag.name for tag in film.tags]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "jsonl.gz", "csv.gz", "parquet.gz"])
def test_every_format_gives_the_same_films_by_id(tmp_path: Path, kind: str) -> None:
    films, aside = read_catalogue(catalogue(tmp_path, kind, ROWS), 0.0)
    assert [row_of(film) for film in films] == [ROWS[2], ROWS[0], ROWS[1]]
    assert aside == []


def test_each_field_and_tag_says_which_file_it_comes_from(tmp_path: Path) -> None:
    film = only(tmp_path, year=1999, plot="P.", synopsis=" ", lead=None, tags=["sea"])
    assert film.origins == dict.fromkeys(["title", "year", "plot"], "films.jsonl")
    assert film.tags == [Tag(name="sea", sources=["films.jsonl"])]
    assert film.sources == {"films.jsonl": Origin()}
    assert film.ids == {}


@pytest.mark.parametrize(
    ("name", "content"), [("x.jsonl", as_jsonl(good(3))), ("x.csv", b"id,title,plot\na,A,P\nb,B,Q\n")]
)
def test_a_byte_order_mark_and_dos_line_ends_change_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    path = put(tmp_path / name, content)
    plain, _ = read_catalogue(path, 0.0)
    put(path, b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_catalogue(path, 0.0) == (plain, [])


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_tags_are_a_list_or_text_with_bars(tmp_path: Path, kind: str) -> None:
    as_list = [{"id": "a", "title": "A", "plot": "P.", "tags": ["Drama", " sea ", "", "two words"]}]
    as_text = [{"id": "a", "title": "A", "plot": "P.", "tags": " Drama | sea||two words|"}]
    for rows in (as_list, as_text):
        films, _ = read_catalogue(catalogue(tmp_path, kind, rows), 0.0)
        assert names(films[0]) == ["Drama", "sea", "two words"]


def test_a_tag_may_be_an_object_that_says_its_kind(tmp_path: Path) -> None:
    given = [{"name": " surf ", "kind": "genre", "sources": ["elsewhere"], "votes": 3}, {"name": "sea"}, "storm"]
    tags = only(tmp_path, tags=given).tags
    assert [(tag.name, tag.kind) for tag in tags] == [("surf", "genre"), ("sea", None), ("storm", None)]
    assert {source for tag in tags for source in tag.sources} == {"films.jsonl"}


def test_absent_values_are_null_nan_blank_or_no_key(tmp_path: Path) -> None:
    absent = BLANK | {"tags": []}
    for value in (None, float("nan"), " ", ""):
        film = only(tmp_path, **dict.fromkeys(absent, value))
        assert film == only(tmp_path)
        assert film.model_dump(include=set(absent)) == absent


def test_ids_and_years_are_read_from_numbers_and_text(tmp_path: Path) -> None:
    assert only(tmp_path, id=17).id == "17"
    assert [only(tmp_path, year=year).year for year in (1999, 1999.0, "1999", " 1999 ")] == [1999] * 4


def test_a_csv_cell_may_be_long_and_a_row_short(tmp_path: Path) -> None:
    films, _ = read_catalogue(put(tmp_path / "x.csv", b"id,title,plot\na,A," + b"x " * 500_000 + b"\nb,B\n"), 0.0)
    assert [len(film.plot or "") for film in films] == [999_999, 0]


def test_columns_that_are_ignored_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [row | {"votes": 90, "Wiki Page": "Bells"} for row in ROWS]
    with caplog.at_level(logging.INFO, "motags.films"):
        read_catalogue(catalogue(tmp_path, "jsonl", rows), 0.0)
        read_catalogue(catalogue(tmp_path, "csv", ROWS), 0.0)
    assert [line.split(": ", 1)[1] for line in caplog.messages] == ["columns ignored: Wiki Page, votes"]


def test_a_catalogue_can_not_say_what_only_we_know(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = {"origins": {"plot": "elsewhere"}, "sources": 3, "ids": None, "posters": "x", "trailers": [1]}
    with caplog.at_level(logging.INFO, "motags.films"):
        assert only(tmp_path, **own) == only(tmp_path)
    assert caplog.messages[0].endswith("columns ignored: ids, origins, posters, sources, trailers")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x", "title"', "not a line of JSON: "),
        (b'{"id": "x", "title": "caf\xe9"}', "not a line of JSON: not valid UTF-8: save the file as UTF-8"),
        (b'{"id": "x", "title": "X", "year": ' + b"9" * 5000 + b"}", "not a line of JSON: "),
        (b"[" * 100_000, "not a line of JSON: "),
        (b"[1, 2]", "a list where an object is expected"),
        (b"17", "a int where an object is expected"),
        (b"null", "a NoneType where an object is expected"),
        (b'"a film"', "a str where an object is expected"),
        (b"{}", "id: Field required"),
        (b'{"title": "X"}', "id: Field required"),
        (b'{"id": null, "title": "X"}', "id: Input should be a valid string"),
        (b'{"id": "  ", "title": "X"}', "id: Input should be a valid string"),
        (b'{"id": true, "title": "X"}', "id: Input should be a valid string (got 'True')"),
        (b'{"id": "g001", "title": "X"}', "id: 'g001' is the id of an earlier row too"),
        (b'{"id": "x"}', "title: Field required"),
        (b'{"id": "x", "title": ""}', "title: Input should be a valid string"),
        (b'{"id": "x", "title": "\\ud800"}', "title: Value error, not valid UTF-8"),
        (b'{"id": "x", "title": "X", "plot": ["p"]}', "plot: Input should be a valid string"),
        (b'{"id": "x", "title": "X", "tags": 5}', "tags: Input should be a valid list (got '5')"),
        (b'{"id": "x", "title": "X", "tags": {"sea": 1}}', "tags: Input should be a valid list"),
        (b'{"id": "x", "title": "X", "tags": ["sea", 5]}', "tags.1: Input should be a valid dictionary or instance of"),
        (b'{"id": "x", "title": "X", "tags": [{"name": " "}]}', "tags.0.name: Input should be a valid string"),
        (b'{"id": "x", "title": "X", "tags": [{"kind": "genre"}]}', "tags.0.name: Field required"),
        (b'{"id": "x", "title": "X", "tags": [{"name": "a", "kind": "mood"}]}', "tags.0.kind: Input should be 'genre'"),
        (b'{"id": "x", "title": "X", "tagline": true}', "tagline: Input should be a valid string (got 'True')"),
        (b'{"id": "x", "title": "X", "tags": 0}', "tags: Input should be a valid list (got '0')"),
        (b'{"id": "x", "title": "X", "tags": false}', "tags: Input should be a valid list (got 'False')"),
    ],
)  # fmt: skip
def test_an_unusable_line_is_set_aside_with_its_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    lines = as_jsonl(good(3)).splitlines()
    films, aside = read_catalogue(put(tmp_path / "x.jsonl", b"\n".join([*lines[:2], b" ", line, lines[2]])), 0.5)
    assert [film.id for film in films] == ["g000", "g001", "g002"]
    assert [row.where for row in aside] == ["x.jsonl, line 4"]  # the blank line 3 counts as a line, but is no row
    assert aside[0].reason.startswith(reason)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"x,caf\xe9,P", "title: Value error, not valid UTF-8"),
        (b"x,X,P,more", "more cells than the header names"),
        (b",X,P", "id: Input should be a valid string"),
        (b"a,X,P", "id: 'a' is the id of an earlier row too"),
        (b"x", "title: Field required"),
    ],
)
def test_an_unusable_row_of_csv_is_set_aside_with_its_reason(tmp_path: Path, row: bytes, reason: str) -> None:
    films, aside = read_catalogue(put(tmp_path / "x.csv", b"id,title,plot\na,A,P\n" + row + b"\nb,B,\xc3\xa9\n"), 0.5)
    assert [film.id for film in films] == ["a", "b"]
    assert [(row.where, row.reason[: len(reason)]) for row in aside] == [("x.csv, line 3", reason)]


def test_an_unusable_row_of_parquet_is_set_aside_with_its_number(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "title": "A", "plot": "P."},
        {"id": "b", "title": None, "plot": "P."},
        {"id": "c", "title": "C"},
    ]
    films, aside = read_catalogue(catalogue(tmp_path, "parquet", rows), 0.5)
    assert [film.id for film in films] == ["a", "c"]
    assert [(row.where, row.reason.split(":")[0]) for row in aside] == [("films.parquet, line 2", "title")]


def test_a_cell_of_parquet_that_can_not_be_read_costs_its_row_alone(tmp_path: Path) -> None:
    rows = [{"id": "a", "title": "A", "lead": "L"}, {"id": "b", "title": "caf\u00e9"}]
    damaged = as_parquet(rows)
    path = put(tmp_path / "x.parquet", damaged.replace(b"caf\xc3\xa9", b"caf\xff\xff"))
    films, aside = read_catalogue(path, 0.5)
    assert [film.id for film in films] == ["a"]
    assert [row.where for row in aside] == ["x.parquet, line 2"]
    assert aside[0].reason.startswith("a cell that can't be read: 'utf-8' codec")


def test_what_stands_in_an_ignored_column_of_parquet_does_not_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    far = pa.array([2**60], pa.timestamp("ms"))  # no date that Python knows
    pq.write_table(pa.table({"id": ["a"], "title": ["A"], "lead": ["L"], "seen": far}), tmp_path / "x.parquet")
    caplog.set_level("INFO")
    films, aside = read_catalogue(tmp_path / "x.parquet", 0.0)
    assert ([film.id for film in films], aside) == (["a"], [])
    assert "columns ignored: seen" in caplog.text


def test_a_date_of_parquet_that_is_none_costs_no_film(tmp_path: Path) -> None:
    far = pa.array([2**60, 0], pa.timestamp("ms"))
    pq.write_table(
        pa.table({"id": ["a", "b"], "title": ["A", "B"], "lead": ["L", "M"], "released": far}), tmp_path / "x.parquet"
    )
    films, _ = read_catalogue(tmp_path / "x.parquet", 0.0)
    assert [(film.id, film.year) for film in films] == [("a", None), ("b", 1970)]


def test_a_file_name_that_is_no_utf8_is_written_with_marks(tmp_path: Path) -> None:
    films, _ = read_catalogue(put(tmp_path / "caf\udce9.jsonl", as_jsonl(good(1))), 0.0)
    assert write_rows(tmp_path / "films.jsonl", films) == 1
    assert films[0].origins["title"] == "caf\N{REPLACEMENT CHARACTER}.jsonl"


def test_bad_bytes_in_an_ignored_column_do_not_matter(tmp_path: Path) -> None:
    films, aside = read_catalogue(put(tmp_path / "x.csv", b"id,title,plot,note\na,A,P,caf\xff\nb,B,\xc3\xa9,\n"), 0.0)
    assert ([film.id for film in films], aside) == (["a", "b"], [])


def test_an_unclosed_quote_in_csv_swallows_no_films_in_silence(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", b'id,title\na,"A\nb,B\nc,C\n')
    with pytest.raises(MotagsError, match=r"x\.csv can't be read as CSV: the row after line 4: .*; save it anew as "):
        read_catalogue(path, 0.0)


def test_too_many_unusable_rows_are_refused_with_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = catalogue(tmp_path, "jsonl", [*good(18), {"id": "x"}])
    with pytest.raises(MotagsError, match=r"1 of 19 films .* crawl\.max_set_aside = 0\.05 .* line 19: title: Field re"):
        read_catalogue(path, 0.05)
    assert "films.jsonl, line 19 set aside: title: Field required" in caplog.text
    films, aside = read_catalogue(catalogue(tmp_path, "jsonl", [*good(19), {"id": "x"}]), 0.05)
    assert (len(films), len(aside)) == (19, 1)


def test_a_refusal_names_the_field_that_most_are_set_aside_for(tmp_path: Path) -> None:
    rows = [{"id": "x"}, *good(5), {"id": "y", "title": "Y", "tags": [1]}, {"id": "z", "title": "Z", "tags": ["a", 2]}]
    with pytest.raises(MotagsError, match=r"3 of 8 films .* most of them for 'tags'; .* films\.jsonl, line 7: tags\.0"):
        read_catalogue(catalogue(tmp_path, "jsonl", rows), 0.3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", b""),
        ("x.jsonl", b"\n\n"),
        ("x.jsonl.gz", gzip.compress(b"", mtime=0)),
        ("x.csv", b""),
        ("x.csv", b"id,title\n"),
        ("x.parquet", as_parquet([])),
    ],
)
def test_a_catalogue_without_films_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(MotagsError, match=f"{re.escape(name)} holds no films"):
        read_catalogue(put(tmp_path / name, content), 1.0)


@pytest.mark.parametrize("name", ["none.jsonl", "none.csv", "none.parquet", "none.jsonl.gz"])
def test_a_missing_catalogue_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(MotagsError, match=rf"{name} is missing: crawl\.catalogue"):
        read_catalogue(tmp_path / name, 0.0)


@pytest.mark.parametrize("name", ["films.txt", "films", "films.gz", "films.xlsx", "films.jsonl.zip", ".csv"])
def test_an_unknown_ending_is_refused_with_those_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(MotagsError, match=r"a catalogue ends in \.jsonl, \.ndjson, \.json, \.csv, "):
        read_catalogue(put(tmp_path / name, as_jsonl(ROWS)), 0.0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl.gz", gzip.compress(as_jsonl(good(1000)), mtime=0)[:-100]),
        ("x.csv.gz", gzip.compress(as_csv(ROWS), mtime=0)[:20]),
        ("x.parquet.gz", gzip.compress(as_parquet(ROWS), mtime=0)[:-9]),
        ("x.jsonl.gz", as_jsonl(ROWS)),
        ("x.parquet", as_jsonl(ROWS)),
        ("x.parquet", b""),
        ("x.parquet", as_parquet(ROWS)[:-9]),
    ],
)
def test_a_damaged_or_misnamed_catalogue_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(MotagsError, match=rf"{re.escape(name)} can't be read as \w+"):
        read_catalogue(put(tmp_path / name, content), 1.0)


@settings(max_examples=150)
@given(data=st.data())
def test_a_flipped_byte_in_parquet_is_a_sentence_or_a_film_not_a_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(as_parquet(ROWS))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = put(tmp_path_factory.mktemp("flip") / "x.parquet", bytes(content))
    try:
        films, aside = read_catalogue(path, 1.0)
    except MotagsError as error:
        assert "x.parquet" in str(error)  # noqa: PT017, both ends are right
    else:
        assert len(films) + len(aside) <= 3


SILENT = {word.casefold() for word in NOTHING}
PLAIN = (
    st.text().map(lambda text: plain_text(shown_text(text)) or "").filter(lambda text: text.casefold() not in SILENT)
)
TEXTS = PLAIN.filter(bool)
FILMS = st.lists(
    st.builds(
        Film,
        id=TEXTS,
        title=TEXTS,
        year=st.none() | st.integers(1870, 2100),
        **dict.fromkeys(["plot", "synopsis", "lead", "tagline"], st.none() | PLAIN),
        **dict.fromkeys(LISTS, st.lists(TEXTS, max_size=2, unique=True)),
        runtime=st.none() | st.integers(1, 1000),
        tags=st.lists(st.builds(Tag, name=TEXTS, kind=st.sampled_from([None, "genre", "keyword"]))),
        ids=st.dictionaries(st.text(), st.text(), max_size=2),
        posters=st.lists(st.text(), max_size=2),
        trailers=st.lists(st.text(), max_size=2),
        origins=st.dictionaries(st.text(), st.text(), max_size=2),
        sources=st.dictionaries(st.text(), st.builds(Origin, url=st.none() | st.text()), max_size=2),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda film: film.id,
)


@settings(max_examples=100)
@given(films=FILMS)
def test_films_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, films: list[Film]) -> None:
    folder = tmp_path_factory.mktemp("films")
    write_rows(folder / "films.jsonl", films)
    assert list(read_films(folder)) == films
    if not any(film.plot or film.synopsis or film.lead for film in films):
        return
    again, aside = read_catalogue(folder / "films.jsonl", 0.0)  # what we write is a catalogue too
    assert aside == []
    for film, own in zip(again, sorted(films, key=lambda film: film.id), strict=True):
        assert row_of(film) == row_of(own)
        assert [tag.kind for tag in film.tags] == [tag.kind for tag in own.tags]


def test_fields_that_say_nothing_are_not_written(tmp_path: Path) -> None:
    films = [Film(id="a", title="A", plot=" ", tags=["sea"]), Film(id="b", title="B", sources={"x": Origin()})]
    write_rows(tmp_path / "films.jsonl", films)
    assert (tmp_path / "films.jsonl").read_text().splitlines() == [
        '{"id":"a","title":"A","tags":[{"name":"sea"}]}',
        '{"id":"b","title":"B","sources":{"x":{}}}',
    ]


def test_films_are_read_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "films.jsonl").write_text('{"id": "a", "title": "A"}\nnothing that can be read\n')
    assert next(read_films(tmp_path)).id == "a"


def test_rows_set_aside_are_written_and_counted(tmp_path: Path) -> None:
    rows = [*good(2), {"id": "x"}, {"id": "g000", "title": "X"}, {"id": "y", "title": "Y", "lead": [3]}, {"id": "z"}]
    _, aside = read_catalogue(catalogue(tmp_path, "jsonl", rows), 1.0)
    write_rows(tmp_path / "set_aside.jsonl", aside)
    lines = (tmp_path / "set_aside.jsonl").read_text().splitlines()
    assert [SetAside.model_validate_json(line) for line in lines] == aside
    assert [row.where for row in aside] == [f"films.jsonl, line {line}" for line in (3, 4, 5, 6)]
    assert summary([], aside)["set_aside_for"] == {"title": 2, "id": 1, "lead": 1}


def test_a_summary_counts_what_films_have(tmp_path: Path) -> None:
    films, aside = read_catalogue(catalogue(tmp_path, "jsonl", [*ROWS, {"id": "x"}]), 1.0)
    assert summary(iter(films), aside) == {
        "films": 3,
        "having": dict.fromkeys(HAVING, 0) | {"plot": 1, "synopsis": 2, "lead": 1, "tagline": 1, "tags": 2},
        "tags": 3,
        "set_aside": 1,
        "set_aside_for": {"title": 1},
    }

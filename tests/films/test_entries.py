"""Films in memory: dictionaries are read as a catalogue is, and mistakes name their film."""

import logging
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import as_jsonl, put
from motags.errors import MotagsError
from motags.films.entries import read_entries
from motags.films.reading import Reading
from motags.films.text import Entry, TextRules

RULES = TextRules()


def test_dictionaries_are_read_as_a_catalogue_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = [
        {"imdb_id": "tt1", "Title": "Heat", "overview": "<b>Cops</b> &amp; robbers.", "Director": "Mia Hart|Lee Sato"},
        {"imdb_id": "tt2", "runtimeMinutes": "90 min", "release_date": "1999-03-31", "tagline": "N/A", "tags": ["War"]},
        {"imdb_id": 3, "production_countries": '[{"iso_3166_1": "US"}]', "poster": "p.jpg", "plot": "A plot."},
    ]
    monkeypatch.chdir(tmp_path)
    reading = Reading(put(Path("films.jsonl"), as_jsonl(rows)), with_tags=False)
    assert read_entries(rows, RULES) == [RULES.entry(row) for _, row in reading]


def test_a_film_is_all_that_is_known_of_it() -> None:
    film = {"id": 7, "title": "Heat", "tagline": "Hot!", "plot": "Cops.", "year": 1995.0, "runtime": 170.0}
    lists = {"directors": ["Mia Hart"], "cast": ("Omar Reyes", "Lee Sato")}
    files = {"poster": Path("posters/7.jpg"), "trailer": "/films/7.mp4"}
    (entry,) = read_entries([film | lists | files], RULES)
    assert entry == Entry(
        "7", "Heat", "Heat. Hot! Cops.", {"directors": ("Mia Hart",), "cast": ("Omar Reyes", "Lee Sato")}, 1995, 170,
        "posters/7.jpg", "/films/7.mp4",
    )  # fmt: skip


@pytest.mark.parametrize("cell", [
    ["Mia Hart", "Lee Sato"], ("Mia Hart", "Lee Sato"), np.array(["Mia Hart", "Lee Sato"]),
    np.array(["Mia Hart", None, "Lee Sato"], dtype=object), pd.Series(["Mia Hart", "Lee Sato", np.nan, pd.NA]),
    pa.scalar(["Mia Hart", "Lee Sato"]), "Mia Hart|Lee Sato", "['Mia Hart', 'Lee Sato']",
    [{"name": "Mia Hart"}, {"name": "Lee Sato"}],
])  # fmt: skip
def test_a_list_may_be_whatever_holds_its_names(cell: Any) -> None:
    (entry,) = read_entries([{"plot": "P.", "cast": cell}], RULES)
    assert entry.lists == {"cast": ("Mia Hart", "Lee Sato")}


@pytest.mark.parametrize("nothing", [None, np.nan, float("nan"), pd.NA, pd.NaT, "", "N/A", np.datetime64("NaT")])
def test_what_is_missing_says_nothing(nothing: Any) -> None:
    fields = ["id", "title", "tagline", "year", "cast", "countries", "runtime", "poster", "trailer"]
    (entry,) = read_entries([dict.fromkeys(fields, nothing) | {"plot": "P."}], RULES)
    assert entry == Entry("0", None, "P.")


@pytest.mark.parametrize(
    "year",
    [1999, np.int64(1999), np.float32(1999), "1999", date(1999, 3, 31), pd.Timestamp("1999-03-31"),
     np.datetime64("1999-03-31T00:00:00", "ns")],
)  # fmt: skip
def test_numbers_and_dates_of_numpy_and_pandas_are_read(year: Any) -> None:
    (entry,) = read_entries([{"plot": "P.", "year": year, "runtime": np.int32(90)}], RULES)
    assert (entry.year, entry.runtime) == (1999, 90)


def test_the_rows_of_a_data_frame_are_films() -> None:
    frame = pd.DataFrame({"id": [5, 6], "plot": ["P.", None], "cast": [["Mia Hart"], np.nan], "runtime": [90, np.nan]})
    assert read_entries(frame.to_dict("records"), RULES) == [  # type: ignore[arg-type]
        Entry("5", None, "P.", {"cast": ("Mia Hart",)}, runtime=90), Entry("6", None, ""),
    ]  # fmt: skip


def test_a_film_without_an_id_has_its_number() -> None:
    rows: list[dict[str, Any]] = [
        {"title": "A", "year": 1999, "plot": "P."},
        {"id": "x", "plot": "P."},
        {"id": None, "plot": "P."},
    ]
    assert [entry.id for entry in read_entries(iter(rows), RULES, first=10)] == ["10", "x", "12"]
    assert read_entries([], RULES) == []


def test_a_film_needs_no_text() -> None:
    (entry,) = read_entries([{"directors": ["Mia Hart"]}], RULES)
    assert (entry.text, entry.lists) == ("", {"directors": ("Mia Hart",)})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"plot": ["p"]}, r"^film 3: plot: text is expected \(got \"\['p'\]\"\)$"),
        ({"id": True, "plot": "P."}, "^film 3: id: text is expected"),
        ({"title": "caf\udce9", "plot": "P."}, "^film 3: title: not valid UTF-8"),
        ("Heat", "^film 3: expected a dictionary of columns, got a str$"),
        (None, "^film 3: expected a dictionary of columns, got a NoneType$"),
    ],
)
def test_what_can_not_be_used_names_its_film(row: Any, says: str) -> None:
    with pytest.raises(MotagsError, match=says):
        read_entries([{"plot": "P."}, row], RULES, first=2)


def test_films_of_which_no_column_is_known_are_refused() -> None:
    with pytest.raises(MotagsError, match="no column of the films is known: they have id, story; read are text, plot"):
        read_entries([{"id": 1, "story": "A story."}], RULES)


def test_facts_that_can_not_be_read_are_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "motags.films")
    row = {"plot": "P.", "runtime": "2 Seasons", "poster": "https://example.org/1.jpg", "votes": 3}
    assert read_entries([row], RULES) == [Entry("0", None, "P.")]
    assert caplog.messages == [
        "the films: 1 facts that can't be read left out; 1 posters or trailers left out: they are addresses, or lie "
        "outside the catalogue's folder; columns ignored: votes"
    ]

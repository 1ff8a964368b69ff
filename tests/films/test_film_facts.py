"""Facts of films: names, minutes and paths in every notation; what can't be read is counted and never costs a film."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import as_jsonl, as_parquet, put
from motags.errors import MotagsError
from motags.films.catalogue import read_catalogue, summary
from motags.films.columns import KNOWN, columns_of, folded
from motags.films.facts import FactReader, names_separator
from motags.films.film import Film
from motags.films.reading import Reading, ReadingRules
from motags.films.tags import LONGEST
from motags.films.values import NOTHING, Cleaner


def reader(folder: Path | None = None) -> FactReader:
    return FactReader(Cleaner(frozenset(NOTHING)), folder)


def changed(facts: FactReader) -> dict[str, int]:
    return {key: count for key, count in facts._cleaner.counts.items() if count}


def table(folder: Path, rows: list[dict[str, str]]) -> Path:
    """A table of CSV; each film gets an id, a title and a synopsis."""
    films = [{"id": f"f{number}", "title": "A", "synopsis": "S."} | row for number, row in enumerate(rows)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, films[0].keys())
    writer.writeheader()
    writer.writerows(films)
    return put(folder / "films.csv", text.getvalue().encode())


def only(folder: Path, **fields: Any) -> Film:
    path = put(folder / "films.jsonl", as_jsonl([{"id": "a", "title": "A", "synopsis": "S."} | fields]))
    films, aside = read_catalogue(path, 0.0)
    assert aside == []
    return films[0]


# columns


def test_no_name_of_a_column_stands_for_two_fields() -> None:
    counts = Counter(name for field, names in KNOWN.items() for name in {folded(own) for own in (field, *names)})
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (
            "id,title,overview,production_companies,production_countries,spoken_languages,original_language,runtime",
            "companies=production_companies countries=production_countries languages=original_language runtime=runtime",
        ),
        (
            "show_id,type,title,director,cast,country,duration,description",
            "directors=director cast=cast countries=country runtime=duration",
        ),
        (
            "imdb_title_id,title,description,duration,country,language,director,writer,production_company,actors",
            "directors=director writers=writer cast=actors companies=production_company countries=country "
            "languages=language runtime=duration",
        ),
        ("tconst,primaryTitle,plot,runtimeMinutes,directors,writers", "directors=directors writers=writers "
         "runtime=runtimeMinutes"),
        ("Title,Origin/Ethnicity,Director,Cast,Plot", "directors=Director cast=Cast"),
        ("Series_Title,Overview,Runtime,Director,Star1,Star2,Star3,Star4,Poster_Link", "directors=Director cast=Star1 "
         "cast=Star2 cast=Star3 cast=Star4 runtime=Runtime"),
        ("id,title,plot,cast,actor_1_name,poster_path,trailer", "cast=cast poster=poster_path trailer=trailer"),
        ("id,title,plot,Cast,cast,crew,DURATION,duration", "cast=cast runtime=duration"),
    ],
)  # fmt: skip
def test_columns_of_well_known_exports_are_taken(names: str, taken: str) -> None:
    plain = {"id", "title", "plot", "synopsis"}
    columns = [column for column in columns_of(names.split(","), {}, "x.csv") if column.field not in plain]
    assert [f"{field}={name}" for field, name, _ in columns] == taken.split()


def test_a_list_may_be_named_and_have_several_columns(tmp_path: Path) -> None:
    path = table(tmp_path, [{"lead role": "Mia Hart", "villain": "Omar Reyes", "cast": "nobody"}])
    films, _ = read_catalogue(path, 0.0, ReadingRules(columns={"cast": ("villain", "lead role")}))
    assert films[0].cast == ["Omar Reyes", "Mia Hart"]
    films, _ = read_catalogue(table(tmp_path, [{"Star1": "Mia Hart", "Star2": "Omar Reyes", "Star3": "Mia Hart"}]), 0.0)
    assert films[0].cast == ["Mia Hart", "Omar Reyes"]


# names

NOTATIONS: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "python": repr,
    "json": json.dumps,
    "numpy": lambda names: f"array({names!r}, dtype=object)",
    "objects": lambda names: [{"id": number, "name": name, "order": 0} for number, name in enumerate(names)],
    "json objects": lambda names: json.dumps([{"name": name, "character": "Self"} for name in names]),
    "freebase": lambda names: json.dumps({f"/m/0{number}": name for number, name in enumerate(names)}),
    "bars": "|".join,
    "bars and blanks": " | ".join,
    "bytes": lambda names: "|".join(names).encode(),
}
NAME = st.text(st.sampled_from("abcABCéñ' .,-"), min_size=1, max_size=12).map(str.strip).filter(
    lambda name: name and name.casefold() not in NOTHING
)  # fmt: skip


@settings(max_examples=200)
@given(names=st.lists(NAME, min_size=1, max_size=5), notation=st.sampled_from(sorted(NOTATIONS)))
def test_names_in_any_notation_are_the_same_each_once_and_in_their_order(names: list[str], notation: str) -> None:
    facts = reader()
    assert facts.names("cast", NOTATIONS[notation](names)) == list(dict.fromkeys(names))
    assert changed(facts) == {}


@pytest.mark.parametrize(
    ("field", "cell", "names"),
    [
        ("countries", '[{"iso_3166_1": "US", "name": "United States of America"}, {"iso_3166_1": "GB"}]', ["US", "GB"]),
        ("countries", [{"iso_3166_1": "", "name": "Soviet Union"}], ["Soviet Union"]),
        ("languages", "[{'iso_639_1': 'fr', 'name': 'Français'}]", ["fr"]),
        ("companies", '[{"name": "Syncopy", "id": 9996}, {"name": "Warner Bros.", "id": 6194}]',
         ["Syncopy", "Warner Bros."]),
        ("companies", {"name": "Syncopy", "id": 9996}, ["Syncopy"]),
        ("languages", "en", ["en"]),
        ("cast", {"b", "a"}, ["a", "b"]),
        ("cast", ["Tom &amp; Jerry", " <b>Mia</b> Hart ", None, float("nan"), "", "N/A", "\u200bOmar"],
         ["Tom & Jerry", "Mia Hart", "Omar"]),
        ("cast", None, []), ("cast", float("nan"), []), ("cast", "[]", []), ("cast", "\\N", []), ("cast", "", []),
    ],
)  # fmt: skip
def test_what_a_list_says_is_read(field: str, cell: Any, names: list[str]) -> None:
    facts = reader()
    assert facts.names(field, cell) == names
    assert "facts" not in changed(facts)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("[{'id': 28, 'name'", []), ("{a: 1}", []), ('{"Mia Hart": 1}', []), ({"Mia Hart": 1}, []), (7.5, []),
        (True, []), (["Mia Hart", 7], ["Mia Hart"]), ([["Mia Hart"], "Omar Reyes"], ["Omar Reyes"]),
        ([{"id": 3}, "Omar Reyes"], ["Omar Reyes"]), (["caf\udce9", "Omar Reyes"], ["Omar Reyes"]), (b"caf\xe9", []),
        ("x" * (LONGEST + 1), []), (json.dumps(["x" * LONGEST]), []), (["x" * LONGEST, "y"], []),
    ],
)  # fmt: skip
def test_what_is_no_name_is_counted_and_the_others_stay(cell: Any, names: list[str]) -> None:
    facts = reader()
    assert facts.names("cast", cell) == names
    assert changed(facts) == {"facts": 1}


@pytest.mark.parametrize(
    ("field", "texts", "separator"),
    [
        ("cast", ["Mia Hart, Omar Reyes", "Robert Downey, Jr."], (",", True)),
        ("cast", ["Robert Downey, Jr.", "Mia Hart"], ("|", False)),
        ("cast", ["Prabhas, Rana, Tamannaah", "Prabhas"], (",", True)),
        ("directors", ["Reyes, Omar", "Hart, Mia"], ("|", True)),
        ("directors", ["Reyes, Omar", "Hart, Mia; Reyes, Omar"], (";", True)),
        ("writers", ["Mia Hart", "Omar Reyes"], ("|", False)),
        ("writers", ["Mia Hart\nOmar Reyes"], ("\n", False)),
        ("writers", ["Mia Hart|Omar Reyes, Lee Sato", "Lee Sato|Mia Hart"], ("|", True)),
        ("companies", ["Metro-Goldwyn-Mayer, Inc.", "Foo, LLC", "Syncopy"], ("|", False)),
        ("companies", ["Foo, Bar and Sons", "Syncopy", "Legendary"], ("|", True)),
        ("companies", ["Syncopy, Legendary Pictures, Foo, Inc.", "Syncopy"], (",", True)),
        ("companies", ["Syncopy / Legendary", "Legendary / Syncopy"], ("/", False)),
        ("companies", ["Foo, Inc.; Bar, LLC", "Foo, Inc."], (";", False)),
        ("countries", ["France", "India", "Chile", "US, CO, SA"], (",", True)),
        ("languages", ["English, French", "Hindi"], (",", True)),
        ("cast", ["['Mia, Hart', 'O, P']", "[]"], ("|", False)),
        ("cast", [], ("|", False)),
    ],
)  # fmt: skip
def test_whether_commas_separate_is_seen_in_the_column(field: str, texts: list[str], separator: Any) -> None:
    assert names_separator(texts, field) == separator


def test_a_suffix_belongs_to_its_name_and_a_code_is_none(tmp_path: Path) -> None:
    row = {"cast": "Robert Downey, Jr., Mia Hart", "companies": "Foo, Inc., Syncopy", "countries": "US, CO, SA"}
    films, _ = read_catalogue(table(tmp_path, [row]), 0.0)
    assert films[0].cast == ["Robert Downey, Jr.", "Mia Hart"]
    assert films[0].companies == ["Foo, Inc.", "Syncopy"]
    assert films[0].countries == ["US", "CO", "SA"]


def test_what_was_taken_for_a_separator_is_said_once(tmp_path: Path) -> None:
    rows = [{"cast": "Mia Hart, Omar Reyes", "director": "Reyes, Omar", "country": "France"}] * 3
    reading = Reading(table(tmp_path, rows))
    assert len(list(reading)) == 3
    assert reading.said()[:2] == ["commas in director belong to the names", "names in cast are separated by ','"]
    assert not any("country" in said for said in reading.noted)


# minutes


@pytest.mark.parametrize(
    ("cell", "minutes"),
    [
        (148, 148), (148.0, 148), ("148", 148), ("148.0", 148), (" 148 min ", 148), ("148 mins.", 148), ("148m", 148),
        ("148 Minutes", 148), ("2h 28m", 148), ("2 hrs 28 min", 148), ("2 hours and 28 minutes", 148), ("2h28", 148),
        ("2 hr. 28 min.", 148), ("2h", 120), ("PT148M", 148), ("PT2H28M", 148), ("PT2H28M30S", 148), ("PT2H", 120),
        (Decimal(148), 148), (b"90 min", 90), (1, 1), (1000, 1000),
    ],
)  # fmt: skip
def test_a_runtime_is_read_in_any_notation(cell: Any, minutes: int) -> None:
    facts = reader()
    assert facts.minutes(cell) == minutes
    assert changed(facts) == {}


@pytest.mark.parametrize("cell", [None, "", " ", float("nan"), "\\N", 0, 0.0, "0", "0 min"])
def test_a_runtime_that_says_nothing_is_none(cell: Any) -> None:
    facts = reader()
    assert facts.minutes(cell) is None
    assert "facts" not in changed(facts)


@pytest.mark.parametrize(
    "cell",
    ["2 Seasons", "1 Season", -90, "-90", 148.5, "148.5", 1001, "5400", "99h", "PT", "PT30S", "min", "long", True,
     ["148"], float("inf"), Decimal("148.5"), {"minutes": 148}],
)  # fmt: skip
def test_a_runtime_that_is_none_is_counted(cell: Any) -> None:
    facts = reader()
    assert facts.minutes(cell) is None
    assert changed(facts) == {"facts": 1}


# files


def test_a_path_begins_in_the_folder_of_its_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared/real").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    row = {"id": "a", "title": "A", "synopsis": "S.", "poster": "posters/1.jpg", "trailer": "./t/../1.mp4"}
    put(tmp_path / "shared/real/films.jsonl", as_jsonl([row]))
    films, _ = read_catalogue(Path("../shared/real/films.jsonl"), 0.0)
    assert films[0].poster == "../shared/real/posters/1.jpg"  # whether it is there is looked at by whom it serves
    assert Path(films[0].trailer or "") == Path("../shared/real/t/../1.mp4")
    put(Path("films.jsonl"), as_jsonl([row]))
    films, _ = read_catalogue(Path("films.jsonl"), 0.0)
    assert films[0].poster == "posters/1.jpg"


def test_what_leads_out_of_the_folder_is_left_out(tmp_path: Path) -> None:
    folder, outside = tmp_path / "catalogue", tmp_path / "outside"
    (folder / "posters").mkdir(parents=True)
    outside.mkdir()
    put(outside / "1.jpg", b"")
    (folder / "file.jpg").symlink_to(outside / "1.jpg")
    (folder / "linked").symlink_to(outside)
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "inside.jpg").symlink_to(folder / "posters/1.jpg")
    (tmp_path / "catalogue-2").mkdir()
    facts = reader(folder)
    away = [
        "/qJ2tW6WMUDux911r6m7haRef0WH.jpg", str(outside / "1.jpg"), "../outside/1.jpg", "posters/../../outside/1.jpg",
        "file.jpg", "linked/1.jpg", "linked/none/1.jpg", "..", "posters/../..", "../catalogue-2/1.jpg",
        "https://example.org/1.jpg", "http://example.org/1.jpg", "file:///etc/passwd", "data:image/png;base64,AA==",
    ]  # fmt: skip
    assert [facts.file(path) for path in away] == [None] * len(away)
    assert changed(facts) == {"files": len(away)}
    for path in ("posters/1.jpg", "posters/none.jpg", "none/none.jpg", "inside.jpg", "posters/../1.jpg", "Tom & J.jpg"):
        assert facts.file(path) == str(folder / path)
    assert changed(facts) == {"files": len(away)}


@pytest.mark.parametrize("cell", [["a.jpg"], True, "a\0.jpg", "caf\udce9.jpg", {"path": "a.jpg"}])
def test_what_is_no_path_is_counted(tmp_path: Path, cell: Any) -> None:
    facts = reader(tmp_path)
    assert facts.file(cell) is None
    assert changed(facts) == {"facts": 1}
    assert [facts.file(nothing) for nothing in (None, "", "N/A", float("nan"))] == [None] * 4
    assert changed(facts) == {"facts": 1, "nothing": 1}


def test_a_path_that_is_very_long_is_no_crash(tmp_path: Path) -> None:
    facts = reader(tmp_path)
    assert facts.file("x" * 5000) == str(tmp_path / ("x" * 5000))
    assert facts.file("../" * 2000) is None


# films

FACTS: dict[str, Any] = {
    "directors": ["Mia Hart"], "writers": ["Omar Reyes", "Lee Sato"], "cast": ["Ann Bo"], "companies": ["Syncopy"],
    "countries": ["FR"], "languages": ["fr"], "runtime": 90,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_film_has_its_facts_in_every_format(tmp_path: Path, kind: str) -> None:
    row = {"id": "a", "title": "A", "synopsis": "S.", "poster": "p.jpg", "trailer": "t.mp4"} | FACTS
    path = tmp_path / f"films.{kind}"
    if kind == "csv":
        cells = {name: "|".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()}
        path = table(tmp_path, [cells])
    else:
        put(path, as_jsonl([row]) if kind == "jsonl" else as_parquet([row]))
    films, aside = read_catalogue(path, 0.0)
    assert aside == []
    assert films[0].model_dump(include=set(FACTS)) == FACTS
    assert (films[0].poster, films[0].trailer) == (str(tmp_path / "p.jpg"), str(tmp_path / "t.mp4"))
    assert films[0].origins == dict.fromkeys(["title", "synopsis", *FACTS, "poster", "trailer"], path.name)
    having = summary(films, [])["having"]
    assert isinstance(having, dict)
    assert [field for field, count in having.items() if count] == ["synopsis", *FACTS, "poster", "trailer"]


def test_a_bad_fact_costs_no_film_and_is_said(tmp_path: Path) -> None:
    bad = {"cast": "[{'id': 1", "directors": 7, "runtime": "2 Seasons", "poster": "/1.jpg", "countries": {"x": 1}}
    reading = Reading(put(tmp_path / "films.jsonl", as_jsonl([{"id": "a", "title": "A", "synopsis": "S."} | bad])))
    ((_, row),) = reading
    assert {name: row[name] for name in bad} == {
        "cast": [], "directors": [], "runtime": None, "poster": None, "countries": [],
    }  # fmt: skip
    assert only(tmp_path, **bad) == only(tmp_path)
    assert "4 facts that can't be read left out" in reading.said()
    assert "1 posters or trailers left out: they are addresses, or lie outside the catalogue's folder" in reading.said()


def test_a_fact_that_begins_beyond_the_first_rows_is_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": str(number), "title": "A", "synopsis": "S."} for number in range(1400)]
    rows.append({"id": "z", "title": "Z", "cast": "Mia Hart|Omar Reyes", "runtime": "90 min"})
    films, _ = read_catalogue(put(tmp_path / "x.jsonl", as_jsonl(rows)), 0.0)
    assert (films[-1].cast, films[-1].runtime) == (["Mia Hart", "Omar Reyes"], 90)


def test_a_catalogue_of_people_without_texts_is_read_and_one_without_either_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "films.csv", b"id,title,director,year\n1,Alien,Ridley Scott,1979\n")
    reading = Reading(path)
    assert [row["directors"] for _, row in reading] == [["Ridley Scott"]]
    assert any("no column holds a text" in said for said in reading.said())
    with pytest.raises(MotagsError, match="holds a text"):
        list(Reading(put(tmp_path / "bare.csv", b"id,title,year\n1,Alien,1979\n")))

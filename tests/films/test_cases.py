"""Catalogues as people have them: each reported file gives its clean twin's films, or a sentence that helps."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from motags.errors import MotagsError
from motags.films.catalogue import read_catalogue
from motags.films.film import Film
from motags.films.reading import Reading, ReadingRules
from motags.films.text import Entry, TextRules

CASES = Path(__file__).parents[3] / "shared/cases"
pytestmark = pytest.mark.skipif(
    not CASES.exists() and os.environ.get("CI") != "true", reason="the reported catalogues are not beside this project"
)
Said = dict[str, Any]

# what is said of each file
SAME: dict[str, str] = {
    "01-excel-europe-semicolon-cp1252/films.csv": "encoding cp1252, as 'Müller' in line 2 shows; cells .* a semicolon",
    "01-excel-europe-semicolon-cp1252/films_semicolon_utf8bom.csv": "cells are separated by a semicolon",
    "02-cp1252-comma/films.csv": "encoding cp1252, as 'Müller' in line 2 shows",
    "03-excel-unicode-text-utf16/films.csv": "encoding utf-16; cells are separated by a tab",
    "03-excel-unicode-text-utf16/films_comma_utf16.csv": "encoding utf-16",
    "04-pandas-float-years/films.csv": "",
    "05-pandas-float-ids/films.csv": "12 ids written with decimals",
    "05-pandas-float-ids/films.parquet": "",
    "06-tmdb-genres-python-repr/films.csv": "tags of 12 films are lists written as text",
    "07-pandas-list-column/films.csv": "tags of 12 films are lists written as text",
    "07-pandas-list-column/films.parquet": "",
    "08-comma-separated-tags/films.csv": "tags are separated by ','",
    "09-movielens-no-genres-listed/films.csv": "3 cells say nothing",
    "10-imdb-backslash-N/films.csv": "6 cells say nothing",
    "10-imdb-backslash-N/noyear.csv": "4 cells say nothing",
    "11-json-array/films.json": "one list of JSON",
    "11-json-array/films.jsonl": "one list of JSON",
    "11-json-array/one_a_line.jsonl": "one list of JSON",
    "11-json-array/pretty.jsonl": "one list of JSON",
    "13-ndjson-name/films.ndjson": "",
    "13-ndjson-name/films.tsv": "cells are separated by a tab",
    "14-excel-blank-rows/films.csv": "4 empty rows passed over",
    "15-excel-trailing-empty-columns/films.csv": "2 columns without a name",
    "16-excel-sep-line/films.csv": "cells are separated by a semicolon",
    "17-spaces-after-commas/films.csv": "blanks after separators are dropped",
    "18-kaggle-headers/capitals.csv": "columns taken: id = Id, title = Title",
    "18-kaggle-headers/netflix.csv": "synopsis = description, tags = listed_in; columns ignored: type",
    "18-kaggle-headers/tmdb_5000.csv": "year = release_date, synopsis = overview, tags = genres; tags of 12 films",
    "18-kaggle-headers/wiki_movie_plots.csv": "no column of ids: title and year .*; Genre are separated by '/'",
    "19-invisible-letters-in-tags/films.jsonl": "invisible letters taken out of 18 texts",
    "20-dates-as-years/films.jsonl": "",
    "20-dates-as-years/zero.jsonl": "3 years that are none left out",
    "21-null-in-tag-list/films.jsonl": "12 tags that say nothing left out",
    "29-parquet-types/binary.parquet": "",
    "29-parquet-types/dateyear.parquet": "",
    "29-parquet-types/decimal.parquet": "",
    "29-parquet-types/dict.parquet": "",
    "29-parquet-types/nulls.parquet": "12 tags that say nothing left out",
}  # fmt: skip


def facts(film: Film) -> Said:
    """What every twin says of a film; the case of a genre is the file's own."""
    return {
        "title": film.title,
        "year": film.year,
        "story": film.synopsis or film.plot,
        "tags": [tag.name.casefold() for tag in film.tags],
    }


@pytest.fixture(scope="module")
def twin() -> dict[str, Said]:
    """The twelve films by title."""
    films, _ = read_catalogue(CASES / "13-ndjson-name/films.ndjson", 0.0)
    return {film.title: facts(film) for film in films}


@pytest.mark.parametrize("file", SAME)
def test_a_reported_file_gives_the_films_of_its_clean_twin(file: str, twin: dict[str, Said]) -> None:
    reading = Reading(CASES / file)
    assert len(list(reading)) - reading.counts["empty_rows"] <= 12
    films, aside = read_catalogue(CASES / file, 0.0)
    assert (len(films), aside) == (12, [])
    assert re.search(SAME[file], "; ".join(reading.said()))
    absent = file.startswith(("04", "09", "10")) or "zero" in file  # these leave cells out
    for film in films:
        for name, value in facts(film).items():
            assert value == twin[film.title][name] or (absent and value in (None, [])), (film.id, name)


@pytest.mark.parametrize(
    ("folder", "tags"),
    [
        ("06-tmdb-genres-python-repr", 24), ("07-pandas-list-column", 24), ("08-comma-separated-tags", 24),
        ("09-movielens-no-genres-listed", 18),
    ],
)  # fmt: skip
def test_tags_that_repeat_are_the_same_tags_in_every_notation(folder: str, tags: int) -> None:
    films, aside = read_catalogue(CASES / folder / "repeating.csv", 0.0)
    assert (len(films), aside) == (24, [])
    assert sum(bool(film.tags) for film in films) == tags
    assert {tag.name for film in films for tag in film.tags} <= {
        "Drama",
        "Comedy",
        "Romance",
        "Crime",
        "Western",
        "Action",
    }


def test_two_of_eighty_films_with_an_umlaut_are_not_lost() -> None:
    films, aside = read_catalogue(CASES / "02-cp1252-comma/few.csv", 0.0)
    assert (len(films), aside) == (80, [])
    assert any("Müller" in (film.synopsis or "") for film in films)


@pytest.mark.parametrize("name", ["films.csv", "half.csv"])
def test_backslashes_before_quotes_are_read(name: str) -> None:
    films, _ = read_catalogue(CASES / "32-csv-backslash-quotes" / name, 0.0)
    assert [film.title for film in films] == ['The "Great" Heist', "Other"]
    assert "\\" not in (films[0].synopsis or "")
    assert [tag.name for tag in films[0].tags] == ["Crime", "heist"]


def test_a_text_with_markup_is_read_as_the_plain_one() -> None:
    entries = [
        TextRules(fields=("text",)).entry(row)
        for _, row in Reading(CASES / "25-html-in-texts/films.jsonl", with_tags=False)
    ]
    plain, html = (entry.text for entry in entries if isinstance(entry, Entry))
    assert plain == html == "A sheriff & his wife hunt the outlaw who robbed the railway."


def test_a_table_without_a_column_of_texts_is_refused_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_text("id,title,story told\na,A,A film.\n")
    with pytest.raises(MotagsError, match=r"no column of films\.csv holds a text: it has id, title, story told; "):
        read_catalogue(path, 0.0)
    films, _ = read_catalogue(path, 0.0, ReadingRules(columns={"synopsis": ("story told",)}))
    assert films[0].synopsis == "A film."
    with pytest.raises(MotagsError, match=r"has no column 'story', which --column plot=story .* it has id, title"):
        read_catalogue(path, 0.0, ReadingRules(columns={"plot": ("story",)}))


def test_every_folder_of_catalogues_has_a_test() -> None:
    elsewhere = {"31-dump-gz", "36-label-studio-bom", "39-set-param-drops-comments", "40-set-param-path-with-brackets"}
    elsewhere |= {
        "41-review-takes-half-a-catalogue",
        "42-csv-output-in-excel",
        "25-html-in-texts",
        "32-csv-backslash-quotes",
    }
    assert {folder.name for folder in CASES.iterdir() if folder.is_dir()} == {
        file.split("/")[0] for file in SAME
    } | elsewhere

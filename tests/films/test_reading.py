"""One way of reading: whatever frame, dialect, encoding or notation a catalogue has, it gives the same films."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from motags.errors import MotagsError
from motags.films.catalogue import read_catalogue
from motags.films.encodings import is_western
from motags.films.files import opened
from motags.films.markup import shown_text
from motags.films.reading import Reading, ReadingRules
from motags.films.tags import separator_of, tag_list
from motags.films.values import NOTHING, Cleaner

WORDS = ["Drama", "War", "small town", "heist", "Müller", "café", "river", "Señorita", "love", "stage"]
NAMES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True)
FILMS = st.lists(
    st.fixed_dictionaries(
        {
            "title": st.lists(st.sampled_from([*WORDS, 'a "Great" one', "Matrix, The"]), min_size=1).map(" ".join),
            "year": st.none() | st.integers(1870, 2100),
            "synopsis": st.lists(st.sampled_from([*WORDS, "a;b", "x, y", 'or "no"', "t\tb"]), min_size=1).map(" ".join),
            "tags": NAMES,
        }
    ),
    min_size=2,
    max_size=6,
)  # fmt: skip
FAST = settings(
    max_examples=40,
    phases=[Phase.generate, Phase.shrink],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def numbered(films: list[dict[str, Any]]) -> list[dict[str, Any]]:
    fields = ("title", "year", "synopsis", "tags")
    return [{"id": f"f{number}"} | {name: film[name] for name in fields} for number, film in enumerate(films)]


def films_of(path: Path, content: bytes, rules: ReadingRules | None = None) -> list[dict[str, Any]]:
    path.write_bytes(content)
    films, aside = read_catalogue(path, 0.0, rules)
    assert aside == []
    return [
        {name: getattr(film, name) for name in ("id", "title", "year", "synopsis")}
        | {"tags": [tag.name for tag in film.tags]}
        for film in films
    ]


def as_table(films: list[dict[str, Any]], delimiter: str = ",", between: str = "|", line: str = "\r\n") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line)
    writer.writerow(films[0])
    writer.writerows([*list(film.values())[:-1], between.join(film["tags"])] for film in films)
    return text.getvalue()


def clean(films: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [film | {"synopsis": film["synopsis"].strip()} for film in numbered(films)]


@FAST
@given(
    films=FILMS,
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    head=st.sampled_from(["", "sep"]),
    tail=st.sampled_from(["", "empty rows", "unnamed columns"]),
    line=st.sampled_from(["\r\n", "\n"]),
)
def test_csv_as_programs_write_it_gives_the_same_films(
    tmp_path: Path, films: list[dict[str, Any]], delimiter: str, encoding: str, head: str, tail: str, line: str
) -> None:
    text = as_table(numbered(films), delimiter, line=line)
    if tail == "unnamed columns":  # a spreadsheet ends each row with empty cells; no cell here holds a line end
        text = text.replace(line, delimiter * 2 + line)
    text += (delimiter * 4 + line) * 3 if tail == "empty rows" else ""
    text = (f"sep={delimiter}{line}" if head else "") + text
    assert films_of(tmp_path / "x.csv", text.encode(encoding)) == clean(films)


@FAST
@given(films=FILMS, blanks=st.booleans(), null=st.sampled_from(["\\N", ""]))
def test_csv_with_backslashes_gives_the_same_films(
    tmp_path: Path, films: list[dict[str, Any]], blanks: bool, null: str
) -> None:
    rows = []
    for film in numbered(films):
        cells = [film["id"], film["title"], film["synopsis"], "|".join(film["tags"])]
        quoted = ['"' + cell.replace('"', '\\"') + '"' for cell in cells]
        rows.append([quoted[0], quoted[1], str(film["year"] or null), *quoted[2:]])
    between = ", " if blanks else ","
    lines = [between.join(["id", "title", "year", "synopsis", "tags"]), *(between.join(row) for row in rows)]
    assert films_of(tmp_path / "x.csv", "\n".join(lines).encode()) == clean(films)


@FAST
@given(
    films=FILMS,
    indent=st.sampled_from([None, 1, 4]),
    listed=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    name=st.sampled_from(["x.json", "x.jsonl", "x.ndjson", "x.json.gz"]),
)
def test_json_in_every_frame_gives_the_same_films(
    tmp_path: Path, films: list[dict[str, Any]], indent: int | None, listed: bool, encoding: str, name: str
) -> None:
    rows = numbered(films)
    text = json.dumps(rows, indent=indent) if listed else "\n".join(json.dumps(row, indent=indent) for row in rows)
    content = text.encode(encoding)
    assert films_of(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content) == clean(films)


NOTATIONS = {
    "python": repr,
    "json": json.dumps,
    "numpy": lambda tags: "[" + " ".join(map(repr, tags)) + "]",
    "array": lambda tags: f"array({tags!r}, dtype=object)",
    "set": lambda tags: f"({', '.join(map(repr, tags))},)",
    "objects": lambda tags: repr([{"id": number, "name": tag} for number, tag in enumerate(tags)]),
    "json objects": lambda tags: json.dumps([{"id": number, "name": tag} for number, tag in enumerate(tags)]),
    "scores": lambda tags: json.dumps([{"tag": tag, "score": 0.5} for tag in tags]),
    "words": lambda tags: f"[{', '.join(tags)}]",
}
NAME = st.text(st.characters(codec="ascii", exclude_categories=["C"], exclude_characters="<&\\"), min_size=1).filter(
    lambda name: name.strip() == name and name.casefold() not in NOTHING
)


@FAST
@given(tags=st.lists(NAME, min_size=1, max_size=4), notation=st.sampled_from(sorted(set(NOTATIONS) - {"words"})))
def test_a_list_in_any_notation_gives_its_tags(tags: list[str], notation: str) -> None:
    read = tag_list(NOTATIONS[notation](tags), Cleaner(frozenset(NOTHING)))
    assert [tag["name"] for tag in read] == tags


@FAST
@given(films=FILMS, between=st.sampled_from(["|", ", ", ";", "/", " # ", "\n"]))
def test_a_separator_that_is_not_certain_is_asked_for_and_else_taken(
    tmp_path: Path, films: list[dict[str, Any]], between: str
) -> None:
    content = as_table(numbered(films), between=between).encode()
    try:
        assert films_of(tmp_path / "x.csv", content) == clean(films)
    except MotagsError as error:
        assert "--tag-separator (crawl.separator)" in str(error)  # noqa: PT017, both ends are right
    assert films_of(tmp_path / "x.csv", content, ReadingRules(separator=between.strip(" "))) == clean(films)


@pytest.mark.parametrize(
    ("texts", "separator"),
    [
        (["Drama, War", "War"], ","), (["a; b", "b; c"], ";"), (["Action|Drama", "a"], "|"), (["Drama"], "|"),
        ([], "|"),
        (["x\ny", "y"], "\n"), (["sci-fi/fantasy|Drama", "Drama"], "|"), (["Comedy, TV/Web", "Drama, Comedy"], ","),
        (["[a, b]", "x"], "|"), (["Action &amp; War"], "|"),
    ],
)  # fmt: skip
def test_a_separator_is_taken_where_it_is_certain(texts: list[str], separator: str) -> None:
    assert separator_of(texts, "x.csv") == separator


@pytest.mark.parametrize(
    "texts", [["Drama", "War", "love, actually"], ["a/b, c", "d/e, f"], ["a|b", "c, d", "d, c", "c"]]
)
def test_a_separator_that_is_not_certain_is_refused(texts: list[str]) -> None:
    with pytest.raises(MotagsError, match=r"^x\.csv: whether .* by --tag-separator \(crawl\.separator\)$"):
        separator_of(texts, "x.csv")


@pytest.mark.parametrize("tags", ["{a: 1}", "[{'id': 28, 'name'", "['a', ['b'", '{"a": 1}'])
def test_a_list_that_is_none_is_set_aside_with_its_line(tmp_path: Path, tags: str) -> None:
    text = as_table([{"id": "a", "title": "A", "plot": "P.", "tags": [tags]}])
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(MotagsError, match=r"x\.csv, line 2: tags: a list in no notation that is known"):
        read_catalogue(tmp_path / "x.csv", 0.0)


@FAST
@given(word=st.sampled_from([word for word in NOTHING if not word.startswith(("[", "{"))]), upper=st.booleans())
def test_words_for_nothing_are_nothing_in_every_column(tmp_path: Path, word: str, upper: bool) -> None:
    nothing = f" {word.upper() if upper else word} "
    row = {"id": "a", "title": "A", "year": nothing, "plot": nothing, "synopsis": "S.", "tags": [nothing, "War"]}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    reading = Reading(tmp_path / "x.jsonl")
    (cleaned,) = [cleaned for _, cleaned in reading]
    assert cleaned == {
        "id": "a", "title": "A", "year": None, "plot": None, "synopsis": "S.", "tags": [{"name": "War"}],
    }  # fmt: skip
    assert reading.counts["nothing"] == 3


@pytest.mark.parametrize(
    ("value", "year"),
    [
        (1999, 1999), (1999.0, 1999), ("1999", 1999), ("1999.0", 1999), ("1999-03-31", 1999), ("31/03/1999", 1999),
        ("1999-03-31T12:00:00Z", 1999), ("(1999)", 1999), (0, None), ("0", None), ("MCM", None), (True, None),
        (1999.5, None), ("2003-2005", None), (3, None), (922838400000, None), (2100, 2100), (1870, 1870), ([], None),
    ],
)  # fmt: skip
def test_a_year_is_read_from_numbers_and_dates_and_else_is_none(value: Any, year: int | None) -> None:
    assert Cleaner(frozenset()).year(value) == year


@pytest.mark.parametrize(
    ("value", "read"), [(862, "862"), (862.0, "862"), ("862.0", "862"), ("tt01", "tt01"), (2.0**60, 2.0**60)]
)  # fmt: skip
def test_an_id_is_text_and_a_number_the_same_with_decimals(value: Any, read: Any) -> None:
    assert Cleaner(frozenset()).id(value) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("x < y & z", "x < y & z"), ("<p><b>A</b>lice</p> &amp; <i>Bob</i><br/>c", " Alice  & Bob c"), ("AT&T", "AT&T"),
        ("<Neo> I <3 you", "<Neo> I <3 you"), ("if a <b and c> d", "if a <b and c> d"), ("&lt;p&gt;x", " x"),
        ("&copy 2000 &copy;", "&copy 2000 ©"), ("<!-- c -->x", "x"), ("<script>a()</script>y", "y"), ("a<", "a<"),
        ("<a href='x'>l</a>", "l"), ("<![CDATA[zz]]>", "zz"), ("</p", "</p"),
    ],
)  # fmt: skip
def test_what_html_shows_is_kept_and_nothing_else_is_lost(text: str, read: str) -> None:
    assert shown_text(text).replace("  ", " ") == read.replace("  ", " ")


@FAST
@given(text=st.text(st.sampled_from("ab <>&;/p!-[]#x1\u200b\u00ad\u200eé"), max_size=30))
def test_a_text_is_read_the_same_when_it_is_read_again(text: str) -> None:
    cleaner = Cleaner(frozenset(NOTHING))
    once = cleaner.text(text)
    assert once is None or cleaner.text(once) in {once, once.strip()}
    assert not set("\u200b\u00ad\u200e") & set(once or "")


@pytest.mark.parametrize("word", ["Müller", "L'Été", "Señorita", "don\u2019t", "Großmutters", "Ørsted"])
def test_words_of_western_europe_are_known(word: str) -> None:
    assert is_western(word.encode("cp1252").decode("cp1252"))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1250", "Zażółć gęślą jaźń"), ("cp1250", "Příběh ošetřovatelky"), ("cp1251", "Москва слезам не верит"),
        ("cp1254", "K\u0131\u015f Uykusu, Üç Maymun a\u011f\u0131r"),
        ("shift_jis", "七人の侍 東京物語"), ("gb18030", "霸王别姬 活着"),
    ],
)  # fmt: skip
def test_other_encodings_are_never_guessed_but_read_where_they_are_named(
    tmp_path: Path, encoding: str, text: str
) -> None:
    rows = [{"id": "a", "title": "A", "year": None, "synopsis": text, "tags": ["War"]}]
    content = as_table(rows).encode(encoding)
    with pytest.raises(MotagsError, match=r"x\.csv, line 2: this is not UTF-8, .* by --encoding \(crawl\.encoding\)"):
        films_of(tmp_path / "x.csv", content)
    assert films_of(tmp_path / "x.csv", content, ReadingRules(encoding=encoding)) == rows


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "x.json",
            b'[{"id": "a"}, {"id" "b"}]',
            r"x\.json can't be read as JSON: line 1: Expecting ':' delim",
        ),
        ("x.json", b'[{"id": "a"},\n', r"x\.json can't be read as JSON: line "),
        ("x.csv", b"\0\0\1\2" * 9, "holds zero bytes: it is no text"),
        ("x.csv", b'id,plot\na,"x" y\n', r"x\.csv can't be read as CSV: .*; save it anew as CSV UTF-8, or name what"),
        ("x.csv", b"Title,TITLE,plot\na,b,d\n", "its header names 'Title' twice: keep one of the columns"),
    ],
)
def test_a_file_that_is_broken_is_refused_as_a_file(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MotagsError, match=says):
        read_catalogue(tmp_path / name, 0.0)


@pytest.mark.parametrize("wrong", [ReadingRules(encoding="none such"), ReadingRules(delimiter=";;")])
def test_an_option_that_says_nothing_is_refused(tmp_path: Path, wrong: ReadingRules) -> None:
    (tmp_path / "x.csv").write_text("id,title,plot\na,A,P\n")
    with pytest.raises(MotagsError, match=r"\(crawl\.(encoding|delimiter)\)"):
        read_catalogue(tmp_path / "x.csv", 0.0, wrong)


def test_genres_beside_keywords_are_told_apart(tmp_path: Path) -> None:
    row = {
        "id": 1,
        "title": "A",
        "overview": "A film.",
        "genres": [{"id": 2, "name": "Family"}],
        "keywords": "family, sea",
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    films, _ = read_catalogue(tmp_path / "x.jsonl", 0.0)
    assert [(tag.name, tag.kind) for tag in films[0].tags] == [
        ("Family", "genre"), ("family", "keyword"), ("sea", "keyword"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_tagging_writes_is_a_catalogue(tmp_path: Path, kind: str) -> None:
    from motags.batch.formats import write  # noqa: PLC0415

    answer = {
        "id": "-1", "title": "=A1", "tags": [{"tag": "War", "score": 0.5}, {"tag": "sea", "score": 0.25}], "cluster": 3,
        "model_version": "0123",
    }  # fmt: skip
    with (tmp_path / f"x.{kind}").open("wb") as file:
        write(kind, [[answer, answer | {"id": "b", "tags": []}]], file)
    if kind == "csv":
        assert (tmp_path / "x.csv").read_bytes().startswith(b"\xef\xbb\xbf")  # by which Excel knows UTF-8
    films, aside = read_catalogue(tmp_path / f"x.{kind}", 0.0)
    assert aside == []
    assert [(film.id, film.title, [tag.name for tag in film.tags]) for film in films] == [
        ("-1", "=A1", ["War", "sea"]), ("b", "=A1", []),
    ]  # fmt: skip


def test_a_column_that_begins_with_text_beyond_the_first_rows_is_read(tmp_path: Path) -> None:
    rows = [{"id": str(number), "title": "A", "synopsis": "S."} for number in range(400)]
    rows.append({"id": "z", "title": "Z", "plot": "P.", "tags": "a|b"})
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    films, _ = read_catalogue(tmp_path / "x.jsonl", 0.0)
    assert (films[-1].plot, [tag.name for tag in films[-1].tags]) == ("P.", ["a", "b"])


def test_a_catalogue_is_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"id": number, "text": "x" * 1000}) for number in range(2000)))
    with opened(path) as frame:
        assert frame.names == ["id", "text"]
        assert next(frame.rows(["id"]))[0] == 1

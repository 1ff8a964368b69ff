"""One spelling for each tag: genres as listed, keywords in lower case, synonyms and plurals as their tag."""

import csv
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from builders import ROOT
from motags.dataset.tag_vocabulary import Speller, one_number, read_descriptions, read_synonyms
from motags.errors import MotagsError
from motags.films.film import Tag

GENRES = ["Drama", "Family", "Science Fiction"]
SYNONYMS = {"Sci-Fi": "Science Fiction", "children's": "Family", "rom-com": "Romantic Comedy", "kin": "family"}
SPELLER = Speller(GENRES, ["family"], SYNONYMS)
KINDS = [None, "keyword", "genre"]


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("Drama", "Drama"),
        ("  dRAMA ", "Drama"),
        ("\uff24\uff52\uff41\uff4d\uff41", "Drama"),  # full-width letters
        ("science\u00a0\n FICTION", "Science Fiction"),
        ("Sea  Voyage", "sea voyage"),
        ("CAFE\u0301", "café"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁlm noir", "film noir"),
        (" \t", ""),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tag_has_one_spelling_of_whatever_kind_it_is(tag: str, name: str, kind: str | None) -> None:
    assert SPELLER.spell(tag, kind) == name


@pytest.mark.parametrize("kind", [None, "keyword"])
@pytest.mark.parametrize("tag", ["family", "FAMILY", " famiLy"])
def test_a_homonym_is_the_keyword_unless_its_source_calls_it_a_genre(tag: str, kind: str | None) -> None:
    assert SPELLER.spell(tag, kind) == "family"  # the theme, not the audience
    assert SPELLER.spell(tag, "genre") == "Family"
    assert SPELLER.spell("  Family", kind) == "Family"  # spelled as the genre


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("sci-fi", "Science Fiction"),
        (" SCI-FI", "Science Fiction"),
        ("Rom-Com", "romantic comedy"),
        ("romantic comedy", "romantic comedy"),
        ("Children's", "Family"),
        ("rom-coms", "rom-coms"),
    ],
)
def test_a_synonym_is_spelled_as_its_tag(tag: str, name: str, kind: str | None) -> None:
    assert SPELLER.spell(tag, kind) == name


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("science fiction film", "Science Fiction"),
        ("sci-fi movies", "Science Fiction"),
        ("drama films", "Drama"),
        ("Drama Film", "Drama"),
        ("family movie", "Family"),
        ("surf film", "surf"),
        ("film noir", "film noir"),
        ("film", "film"),
        ("biofilm", "biofilm"),
    ],
)
def test_a_genre_of_a_source_is_spelled_without_the_word_film(tag: str, name: str) -> None:
    assert SPELLER.spell(tag, "genre") == name


@pytest.mark.parametrize("kind", [None, "keyword"])
def test_a_keyword_keeps_the_word_film(kind: str | None) -> None:
    assert SPELLER.spell("Science Fiction Film", kind) == "science fiction film"
    assert SPELLER.spell("family film", kind) == "family film"


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("surf", "genre", True),
        ("surf", "keyword", False),
        ("surf", None, False),
        ("drama", None, True),
        ("drama", "keyword", True),
        ("sci-fi", None, True),
        ("family", "keyword", False),
        ("family", None, False),
        ("family", "genre", True),
        ("Family", None, True),
    ],
)
def test_a_tag_is_a_genre_by_the_list_or_by_its_source(name: str, kind: str | None, expected: bool) -> None:
    assert SPELLER.is_genre(Tag.model_validate({"name": name, "kind": kind})) == expected


def test_a_genre_matches_in_either_form_of_unicode() -> None:
    for form in ("NFC", "NFD"):
        genre = unicodedata.normalize(form, "Comédie")
        speller = Speller([genre], [], {"come\u0301": "com\u00e9die"})
        for tag in ("COME\u0301DIE", "com\u00e9die", "com\u00e9"):
            assert speller.spell(tag, None) == genre


@pytest.mark.parametrize("tag", ["sea", "straße", "\u0390\u03b4"])
def test_a_tag_in_capitals_is_the_same_tag(tag: str) -> None:
    assert SPELLER.spell(tag.upper(), None) == SPELLER.spell(tag, None)


@settings(max_examples=300)
@given(tag=st.text() | st.sampled_from([*GENRES, "family", *SYNONYMS]), kind=st.sampled_from(KINDS))
@example(tag="ß\u0301", kind=None)  # folding it makes letters that compose
def test_spelling_a_tag_twice_changes_nothing(tag: str, kind: str | None) -> None:
    once = SPELLER.spell(tag, kind)
    assert SPELLER.spell(once, None) == once
    assert SPELLER.spell(f" {tag}\n", kind) == once


@pytest.mark.parametrize(
    ("counts", "same"),
    [
        ({"robot": 3, "robots": 2}, {"robots": "robot"}),
        ({"robot": 2, "robots": 3}, {"robot": "robots"}),
        ({"robot": 2, "robots": 2}, {"robots": "robot"}),
        ({"evil robot": 3, "evil robots": 2, "robot": 9}, {"evil robots": "evil robot"}),
        ({"woman": 3, "women": 2, "spy": 1, "spies": 4}, {"women": "woman", "spy": "spies"}),
        ({"paris": 3, "texas": 2, "series": 2, "news": 1, "new": 1}, {}),
        ({"robots": 3}, {}),
        ({"Western": 3, "Westerns": 2}, {}),  # genres are spelled as listed
        ({"1990": 3, "1990s": 2}, {}),
        ({"ga": 1, "gas": 2, "gases": 3}, {"ga": "gases", "gas": "gases"}),
        ({}, {}),
    ],
)
def test_singular_and_plural_become_the_more_frequent_one(counts: dict[str, int], same: dict[str, str]) -> None:
    assert one_number(Counter(counts)) == same


WORDS = ["robot", "robots", "spy", "spies", "ga", "gas", "gases", "person", "persons", "people", "boss", "bosses"]
WORDS += ["lens", "lenses", "fish", "fishes", "us", "me", "as", "ass", "asses", "die", "dice", "news", "new"]
TAGS = st.sampled_from([*WORDS, *(f"old {word}" for word in WORDS)]) | st.text(max_size=6)
COUNTS = st.dictionaries(TAGS, st.integers(1, 4), max_size=12)


@settings(max_examples=400)
@given(counts=COUNTS)
@example(counts={"alumnu": 4, "alumnus": 3, "alumni": 2, "alumnis": 1})
def test_no_tag_becomes_a_rarer_one_one_that_is_not_there_or_one_that_is_merged_too(counts: dict[str, int]) -> None:
    same = one_number(Counter(counts))
    assert same.keys() <= counts.keys()
    for loser, winner in same.items():
        assert winner not in same
        assert counts[winner] >= counts[loser]


@settings(max_examples=400)
@given(counts=COUNTS, data=st.data())
@example(counts={"person": 1, "persons": 2, "people": 3}, data=None)
def test_tags_in_another_order_are_merged_alike(counts: dict[str, int], data: st.DataObject | None) -> None:
    order = data.draw(st.permutations(list(counts))) if data else list(reversed(counts))
    assert one_number(Counter({tag: counts[tag] for tag in order})) == one_number(Counter(counts))


def put(folder: Path, content: str | bytes, name: str = "synonyms.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_synonyms_are_read_from_csv(tmp_path: Path, mark: str, end: str) -> None:
    rows = ["tag,synonym", "Science Fiction,sci-fi", 'los angeles,"los angeles, california"', "Café,cafe", ""]
    expected = {"sci-fi": "Science Fiction", "los angeles, california": "los angeles", "cafe": "Café"}
    assert read_synonyms(put(tmp_path, mark + end.join(rows))) == expected


def test_there_may_be_no_synonyms(tmp_path: Path) -> None:
    assert read_synonyms(put(tmp_path, "tag,synonym\n")) == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", r"can't be read as CSV with the columns tag,synonym"),
        ("tag,synonym\na,b\xe9\n".encode("latin-1"), r"can't be read as CSV .*utf-8"),
        ('tag,synonym\na,"b\n', r"can't be read as CSV"),
        ("synonym,tag\nb,a\n", r"line 1: expected the columns tag,synonym, got synonym,tag"),
        ("a,b\n", r"line 1: expected the columns tag,synonym, got a,b"),
        ("tag,synonym\na,b\nc\n", r"line 3: expected a tag and a synonym, got 'c'"),
        ("tag,synonym\na,b,c\n", r"line 2: expected a tag and a synonym, got 'a,b,c'"),
        ("tag,synonym\na, \n", r"line 2: expected a tag and a synonym, got 'a, '"),
        ("tag,synonym\na,b\nc,d\nc, B\n", r"line 4: ' B' is a synonym of two tags"),
        ("tag,synonym\na,b\nb,c\n", r"'b' is both a tag and a synonym"),
        ("tag,synonym\nA,a\n", r"'a' is both a tag and a synonym"),
    ],
)
def test_synonyms_of_another_form_are_refused_with_their_place(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    with pytest.raises(MotagsError, match=rf"synonyms\.csv.*{reason}") as error:
        read_synonyms(put(tmp_path, content))
    assert "\n" not in str(error.value)


def test_a_missing_file_of_synonyms_says_what_it_would_be(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match=r"none\.csv is missing: make a CSV file with the columns tag,synonym"):
        read_synonyms(tmp_path / "none.csv")


def test_the_synonyms_in_git_name_tags_as_they_are_spelled() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")["dataset"]
    synonyms = read_synonyms(ROOT / "data/synonyms.csv")
    plain = Speller(params["genres"], params["homonyms"], {})
    assert [tag for tag in synonyms.values() if plain.spell(tag, None) != tag] == []
    assert [name for name in synonyms if plain.spell(name, None) in params["genres"]] == []


def test_descriptions_are_read_in_the_order_of_the_tags_and_others_are_ignored(tmp_path: Path) -> None:
    rows = [
        "\ufefftag,description",
        "Drama,People  in trouble.",
        'cafe\u0301,"Coffee, and talk."',
        "unknown,Not asked.",
    ]
    path = put(tmp_path, "\r\n".join(rows), "descriptions.csv")
    said = read_descriptions(path, ["caf\u00e9", "new", "Drama", "drama"])
    assert said == ["Coffee, and talk.", "", "People in trouble.", ""]


def test_there_may_be_no_descriptions(tmp_path: Path) -> None:
    assert read_descriptions(put(tmp_path, "tag,description\n"), ["a", "b"]) == ["", ""]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", r"can't be read as CSV with the columns tag,description"),
        ('tag,description\na,"b\n', r"can't be read as CSV"),
        ("tag,synonym\na,b\n", r"line 1: expected the columns tag,description, got tag,synonym"),
        ("tag,description\na,b\nc\n", r"line 3: expected a tag and a description, got 'c'"),
        ("tag,description\na, \n", r"line 2: expected a tag and a description, got 'a, '"),
        ("tag,description\n,b\n", r"line 2: expected a tag and a description, got ',b'"),
        ("tag,description\na,b, c\n", r"line 2: expected a tag and a description, got 'a,b, c'"),
        ("tag,description\na,b\nc,d\n a,e\n", r"line 4: ' a' is described twice; keep one"),
    ],
)
def test_descriptions_of_another_form_are_refused_with_their_place(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(MotagsError, match=rf"descriptions\.csv.*{reason}") as error:
        read_descriptions(put(tmp_path, content, "descriptions.csv"), ["a"])
    assert "\n" not in str(error.value)


def test_a_missing_file_of_descriptions_says_what_it_would_be(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match=r"none\.csv is missing: make a CSV file with the columns tag,description"):
        read_descriptions(tmp_path / "none.csv", ["a"])


def test_the_descriptions_in_git_name_tags_as_they_are_spelled() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")["dataset"]
    with (ROOT / "data/descriptions.csv").open(encoding="utf-8", newline="") as file:
        tags = [row["tag"] for row in csv.DictReader(file)]
    speller = Speller(params["genres"], params["homonyms"], read_synonyms(ROOT / "data/synonyms.csv"))
    assert [tag for tag in tags if speller.spell(tag, None) != tag] == []
    assert all(read_descriptions(ROOT / "data/descriptions.csv", tags))

"""One film, one row: what is joined, what is not, and where each field comes from."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motags.films.film import Film
from motags.sources.facts import Facts
from motags.sources.join import LICENCES, Link, Parts, choose_entity, film_of, joined_by, titles_of, without_rivals
from motags.sources.mediawiki import ILLEGAL
from motags.sources.store import Record
from motags.sources.tmdb import Details

WIKI = "https://wiki.example/w/index.php"
BY = {"entity": ("tmdb_id", "imdb_id", "wikidata_id"), "page": ("sitelink", "title_and_year")}
NAMES = st.text("abcdefgh ", min_size=1, max_size=12).map(str.strip).filter(bool)
TEXTS = st.none() | st.just("") | NAMES
YEARS = st.integers(1900, 2030)


def details(key: int = 603, imdb: str | None = None, named: str | None = None, **other: Any) -> Details:
    fields = {"id": key, "title": "A film", "genres": [], "keywords": {"keywords": []}}
    return Details.model_validate(fields | {"external_ids": {"imdb_id": imdb, "wikidata_id": named}} | other)


def facts(tmdb: list[str] = [], imdb: list[str] = []) -> Facts:  # noqa: B006, never changed
    return Facts("A film", 1999, tmdb, imdb, None, [], [])


def test_the_item_that_bears_the_tmdb_id_counts_before_all_others() -> None:
    candidates = {"Q1": facts(imdb=["tt1"]), "Q2": facts(["603"], ["tt9"]), "Q3": facts()}
    assert choose_entity(details(imdb="tt1", named="Q3"), candidates) == ("Q2", "tmdb_id")


def test_the_item_that_bears_the_imdb_id_counts_before_the_one_that_tmdb_names() -> None:
    candidates = {"Q1": facts(imdb=["tt1"]), "Q3": facts()}
    assert choose_entity(details(imdb="tt1", named="Q3"), candidates) == ("Q1", "imdb_id")


def test_the_imdb_id_beside_the_details_counts_too() -> None:
    assert choose_entity(details(imdb_id="tt1"), {"Q1": facts(imdb=["tt1"])}) == ("Q1", "imdb_id")


def test_the_item_that_tmdb_names_is_taken_where_no_id_speaks_against_it() -> None:
    assert choose_entity(details(named="Q3"), {"Q3": facts()}) == ("Q3", "wikidata_id")


def test_the_item_that_tmdb_names_is_not_taken_if_it_bears_the_tmdb_id_of_another_film() -> None:
    assert choose_entity(details(named="Q3"), {"Q3": facts(["604"])}) == (None, "")


def test_the_item_that_tmdb_names_is_not_taken_if_it_bears_the_imdb_id_of_another_film() -> None:
    assert choose_entity(details(imdb="tt1", named="Q3"), {"Q3": facts(imdb=["tt2"])})[0] is None


def test_an_item_that_nothing_joins_is_not_taken() -> None:
    assert choose_entity(details(imdb="tt1"), {"Q1": facts(["604"], ["tt2"])}) == (None, "")
    assert choose_entity(details(), {}) == (None, "")


@pytest.mark.parametrize("how", ["tmdb_id", "imdb_id"])
def test_two_items_with_the_id_are_ambiguous_and_both_named(how: str) -> None:
    same = facts(["603"]) if how == "tmdb_id" else facts(imdb=["tt1"])
    item, reason = choose_entity(details(imdb="tt1"), {"Q2": same, "Q1": same})
    assert (item, reason) == (None, f"ambiguous: {how} of Q1 and Q2")


IDS = st.lists(st.sampled_from(["603", "604"]), max_size=2, unique=True)
IMDB = st.lists(st.sampled_from(["tt1", "tt2"]), max_size=2, unique=True)
CANDIDATES = st.dictionaries(st.sampled_from(["Q1", "Q2", "Q3"]), st.builds(facts, IDS, IMDB))


@given(CANDIDATES, st.sampled_from([None, "tt1"]), st.sampled_from([None, "Q1"]), st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_the_items(
    candidates: dict[str, Facts], imdb: str | None, named: str | None, chance: Any
) -> None:
    film, shuffled = details(imdb=imdb, named=named), list(candidates.items())
    chance.shuffle(shuffled)
    assert choose_entity(film, dict(shuffled)) == choose_entity(film, candidates)


@given(CANDIDATES, st.sampled_from([None, "tt1"]), st.sampled_from([None, "Q1"]))
def test_an_item_is_only_chosen_for_an_id_that_it_alone_bears(
    candidates: dict[str, Facts], imdb: str | None, named: str | None
) -> None:
    item, how = choose_entity(details(imdb=imdb, named=named), candidates)
    bearers = {
        "tmdb_id": [key for key, each in candidates.items() if "603" in each.tmdb_ids],
        "imdb_id": [key for key, each in candidates.items() if imdb and imdb in each.imdb_ids],
        "wikidata_id": [named] if named in candidates else [],
    }
    if item:
        assert bearers[how] == [item]
    elif how:
        assert len(bearers[how.split()[1]]) > 1
    else:
        assert not bearers["tmdb_id"]
        assert not bearers["imdb_id"]


def test_the_names_of_an_article_start_with_the_most_telling() -> None:
    names = ["Heat (1995 film)", "Heat (film)", "Heat", "Heat (1996 film)", "Heat (1994 film)"]
    assert titles_of("Heat", 1995) == names


def test_signs_that_no_title_may_hold_become_spaces() -> None:
    assert titles_of("#Alive|[REC]_2", 2020)[2] == "Alive REC 2"
    assert titles_of(" <> ", 2020) == []


@given(st.text(max_size=50), YEARS)
def test_names_of_articles_ask_for_one_page_each(title: str, year: int) -> None:
    for name in titles_of(title, year):
        assert not ILLEGAL.search(name.replace("\x7f", ""))
        assert name.strip()


@st.composite
def links(draw: st.DrawFn, field: str) -> list[Link]:
    keys = draw(st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=8))
    return [
        Link(tmdb=str(number), **({field: key, f"{field}_by": draw(st.sampled_from(BY[field]))} if key else {}))
        for number, key in enumerate(keys)
    ]


@pytest.mark.parametrize("field", ["entity", "page"])
@given(st.data())
def test_nothing_is_claimed_twice_and_who_loses_a_claim_is_listed(field: str, data: st.DataObject) -> None:
    films = data.draw(links(field))
    before = {link: getattr(link, field) for link in films}
    listed = without_rivals(films, field)
    after = {link: getattr(link, field) for link in films}
    claims = Counter(filter(None, after.values()))
    assert all(count == 1 for count in claims.values())
    lost = [link for link in films if before[link] and not after[link]]
    assert sorted(row.where for row in listed) == sorted(link.where for link in lost)
    assert all(getattr(link, f"{field}_by") == "" for link in lost)
    rivals = Counter(filter(None, before.values()))
    assert all(rivals[before[link]] > 1 for link in lost)
    assert all(before[link] == after[link] for link in films if link not in lost)


@pytest.mark.parametrize("field", ["entity", "page"])
@given(st.data(), st.randoms())
def test_who_wins_does_not_depend_on_the_order_of_the_films(field: str, data: st.DataObject, chance: Any) -> None:
    films = data.draw(links(field))
    copies = [Link(link.tmdb, link.entity, link.page, link.entity_by, link.page_by) for link in films]
    chance.shuffle(copies)
    first, second = without_rivals(films, field), without_rivals(copies, field)
    key = {link.where: getattr(link, field) for link in copies}
    assert {link.where: getattr(link, field) for link in films} == key
    assert sorted(row.reason for row in first) == sorted(row.reason for row in second)


def test_the_better_claim_wins_and_the_other_says_who_else_claims() -> None:
    strong = Link(tmdb="1", page="Heat", page_by="sitelink")
    weak = Link(tmdb="2", page="Heat", page_by="title_and_year")
    (listed,) = without_rivals([weak, strong], "page")
    assert (strong.page, weak.page) == ("Heat", None)
    assert (listed.where, listed.reason) == ("tmdb 2", "ambiguous: 'Heat' is claimed by tmdb 1 too")


def test_what_joined_films_is_counted() -> None:
    films = [Link(tmdb="1", entity="Q1", entity_by="imdb_id", page="P", page_by="sitelink"), Link(tmdb="2")]
    joined = {
        "tmdb_id": 0,
        "imdb_id": 1,
        "wikidata_id": 0,
        "sitelink": 1,
        "title_and_year": 0,
        "title_and_near_year": 0,
    }
    assert joined_by(films) == joined


@st.composite
def of_tmdb(draw: st.DrawFn) -> Record:
    named = st.lists(st.builds(lambda name: {"name": name}, NAMES), max_size=3)
    released = draw(st.none() | YEARS)
    video = st.fixed_dictionaries(
        {"site": st.sampled_from(["YouTube", "Other"]), "key": NAMES, "type": st.sampled_from(["Trailer", "Clip"])}
    )
    content = {
        "id": 603,
        "title": draw(NAMES),
        "overview": draw(TEXTS),
        "tagline": draw(TEXTS),
        "poster_path": draw(st.sampled_from([None, "", "/poster.jpg"])),
        "imdb_id": draw(st.sampled_from([None, "", "tt1"])),
        "genres": draw(named),
        "keywords": {"keywords": draw(named)},
        "external_ids": {"imdb_id": None, "wikidata_id": "Q7"},
        "videos": {"results": draw(st.lists(video, max_size=2))},
    }
    content |= {"release_date": f"{released}-05-06"} if released else {}
    return Record("603", content, fetched="2026-01-02T03:04:05Z")


@st.composite
def of_wikidata(draw: st.DrawFn) -> Record:
    items = st.lists(st.sampled_from(["Q11", "Q12", "Q13"]).map(lambda item: [{"id": item}, "normal"]), max_size=2)
    dates = st.lists(YEARS.map(lambda year: [{"time": f"+{year}-00-00T00:00:00Z"}, "normal"]), max_size=2)
    claims = {"P136": draw(items), "P921": draw(items), "P577": draw(dates)}
    claims["P4947"] = draw(st.sampled_from([[], [["603", "normal"]]]))
    claims["P345"] = draw(st.sampled_from([[], [["tt1", "normal"]]]))
    content = {"label": draw(NAMES), "article": "A film", "claims": claims}
    return Record("Q7", content, revision=70, fetched="2026-01-03T03:04:05Z")


@st.composite
def of_wikipedia(draw: st.DrawFn) -> Record:
    box = draw(st.sampled_from(["", "{{Infobox film\n| image = A poster.jpg\n| name = x\n}}\n"]))
    lead = draw(st.sampled_from(["", "'''It''' is a film about ferries.\n\n"]))
    plot = draw(st.sampled_from(["", "== Plot ==\n" + "A ferry sinks and nobody is told of it. " * 5 + "\n"]))
    year = draw(YEARS)
    categories = f"[[Category:{year} films]]\n" + draw(st.sampled_from(["", "[[Category:Films about ferries]]"]))
    title = draw(st.sampled_from(["The Ferry", "The Ferry (film)", f"The Ferry ({year} film)"]))
    content = {"title": title, "pageid": 55, "wikitext": box + lead + plot + categories}
    content["wikibase_item"] = draw(st.sampled_from([None, "Q7"]))
    return Record(title, content, revision=550, fetched="2026-01-04T03:04:05Z")


LABELS = {"Q11": "drama film", "Q12": "ferry"}


@st.composite
def parts(draw: st.DrawFn) -> Parts:
    """One film as some of the sources have it; at least one does."""
    tmdb, entity, page = draw(st.none() | of_tmdb()), draw(st.none() | of_wikidata()), draw(st.none() | of_wikipedia())
    if not (tmdb or entity or page):
        page = draw(of_wikipedia())
    return Parts(tmdb, entity, page, LABELS, WIKI)


def present(each: Parts) -> dict[str, Record]:
    found = {"tmdb": each.tmdb, "wikidata": each.entity, "wikipedia": each.page}
    return {name: record for name, record in found.items() if record}


def alone(each: Parts, source: str) -> Film:
    """The film as one of its sources has it."""
    names = {"tmdb": "tmdb", "wikidata": "entity", "wikipedia": "page"}
    fields: dict[str, Any] = dict.fromkeys(names.values())
    return film_of(Parts(**fields | {names[source]: present(each)[source]}, labels=LABELS, wiki=WIKI))


@given(parts())
def test_a_film_of_any_sources_is_one_row_that_survives_its_file(each: Parts) -> None:
    film = film_of(each)
    assert Film.model_validate_json(film.model_dump_json(exclude_defaults=True)) == film
    assert film.title
    assert set(film.sources) == set(present(each))


@given(parts())
def test_the_origin_of_a_field_is_a_source_that_says_just_that(each: Parts) -> None:
    film = film_of(each)
    for field in ("title", "year", "plot", "synopsis", "lead", "tagline", "posters", "trailers"):
        value = getattr(film, field)
        if value:
            assert getattr(alone(each, film.origins[field]), field) == value
        else:
            assert field not in film.origins


@given(parts())
def test_no_field_is_lost_that_any_source_has(each: Parts) -> None:
    film = film_of(each)
    for source in present(each):
        one = alone(each, source)
        for field in one.origins:
            assert getattr(film, field), field


@given(parts())
def test_the_title_and_year_are_those_of_the_first_source_that_has_them(each: Parts) -> None:
    film = film_of(each)
    for field in ("title", "year"):
        offers = [getattr(alone(each, source), field) for source in present(each)]
        assert getattr(film, field) == next(filter(None, offers), None)


@given(parts())
def test_the_id_names_the_first_source_and_ids_hold_all_others(each: Parts) -> None:
    film, first = film_of(each), next(iter(present(each)))
    assert film.id == {"tmdb": "tmdb:603", "wikidata": "wikidata:Q7", "wikipedia": "wikipedia:55"}[first]
    expected = {"tmdb": "603", "wikidata": "Q7", "wikipedia": each.page.key if each.page else None, "imdb": "tt1"}
    assert film.ids.items() <= expected.items()
    for source in present(each):
        assert alone(each, source).ids.items() <= film.ids.items()


@given(parts())
def test_each_tag_stands_once_with_all_sources_that_give_it(each: Parts) -> None:
    film = film_of(each)
    names = [(tag.name, tag.kind) for tag in film.tags]
    assert len(names) == len(set(names))
    given_by = [(tag.name, tag.kind, source) for tag in film.tags for source in tag.sources]
    by_source = [(tag.name, tag.kind, source) for source in present(each) for tag in alone(each, source).tags]
    assert sorted(given_by) == sorted(by_source)


def test_genres_and_keywords_keep_their_kind() -> None:
    tmdb = Record("603", json.loads(details(genres=[{"name": "War"}]).model_dump_json(exclude_none=True)))
    tmdb.content["keywords"] = {"keywords": [{"name": "war"}, {"name": " "}]}
    claims = {"P136": [[{"id": "Q11"}, "normal"]], "P921": [[{"id": "Q12"}, "normal"]]}
    entity = Record("Q7", {"label": "x", "article": None, "claims": claims})
    page = Record("x", {"title": "x", "pageid": 1, "wikitext": "[[Category:1999 films]][[Category:Films about war]]"})
    film = film_of(Parts(tmdb, entity, page, {"Q11": "war film", "Q12": "war"}, WIKI))
    found = [(tag.name, tag.kind, tag.sources) for tag in film.tags]
    assert found == [
        ("War", "genre", ["tmdb"]),
        ("war", "keyword", ["tmdb", "wikidata", "wikipedia"]),
        ("war film", "genre", ["wikidata"]),
    ]


@given(parts())
def test_each_source_stands_with_its_licence_revision_and_address(each: Parts) -> None:
    film = film_of(each)
    addresses = {
        "tmdb": "https://www.themoviedb.org/movie/603",
        "wikidata": "https://www.wikidata.org/wiki/Q7",
        "wikipedia": f"{WIKI}?oldid=550",
    }
    for name, record in present(each).items():
        origin = film.sources[name]
        assert (origin.licence, origin.url) == (LICENCES[name], addresses[name])
        assert (origin.revision, origin.fetched) == (record.revision, record.fetched)


def test_the_licences_are_those_of_the_sites() -> None:
    assert LICENCES == {"wikipedia": "CC BY-SA 4.0", "wikidata": "CC0 1.0", "tmdb": "TMDB API Terms of Use"}


def test_addresses_of_posters_and_trailers_are_whole() -> None:
    video = {"site": "Vimeo", "key": "77", "type": "Trailer"}
    tmdb = Record("603", details(poster_path="/p.jpg", videos={"results": [video]}).model_dump(exclude_none=True))
    film = film_of(Parts(tmdb, None, None, {}, WIKI))
    assert film.posters == ["https://image.tmdb.org/t/p/original/p.jpg"]
    assert film.trailers == ["https://vimeo.com/77"]


def test_the_poster_of_an_article_is_an_address_of_the_wiki() -> None:
    text = "{{Infobox film\n| image = Äpfel & Birnen.jpg\n}}\n[[Category:1999 films]]"
    page = Record("x", {"title": "x", "pageid": 1, "wikitext": text})
    assert film_of(Parts(None, None, page, {}, WIKI)).posters == [
        f"{WIKI}?title=File:%C3%84pfel_%26_Birnen.jpg",
    ]

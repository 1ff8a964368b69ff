import json
import os
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motags.sources import wikipedia

REAL = Path(__file__).parents[3] / "shared" / "real" / "wikitext"
READERS: list[Callable[[str], object]] = [
    wikipedia.plot,
    wikipedia.lead,
    wikipedia.categories,
    wikipedia.year,
    wikipedia.is_film,
    wikipedia.redirect,
    wikipedia.is_disambiguation,
    wikipedia.poster,
    wikipedia.imdb_id,
]

# Title, first and last words, words, paragraphs.
REAL_PLOTS = [
    ("48 Hrs.", "Convicted thief Albert Ganz", "back to the penitentiary.", 716, 4),
    ("Actrius", "In order to prepare", "Maria Caminal (Anna Lizaran).", 53, 1),
    ("American Drug War: The Last White Hope", "The film states the", "trafficking in the US.", 80, 1),
    ("Antore Bahire", "Dipto and Riddhi are", "and controls their destinies.", 48, 1),
    ("Army of Darkness", "After being transported to", "into the theatrical cut.", 495, 6),
    ("Azhagarsamy", "A rich landlord (Radha", "Suja unites with Azhagarsamy.", 124, 3),
    ("Baadshaho", "In 1973, Maharani Gitanjali", "his team have escaped.", 517, 5),
    ("Barry Lyndon", "By What Means Redmond", "are all equal now.", 1475, 16),
    ("Batman (1989 film)", "As Gotham City approaches", "watch over the city.", 703, 8),
    ("Batman Forever", "In Gotham City, the", "protect Gotham from crime.", 629, 6),
    ("BlacKkKlansman", "The film starts with", "into black and white.", 673, 8),
    ("C. I. Mahadevan 5 Adi 4 Inchu", "Cochin Hanifa plays the", "crux of the story.", 82, 1),
    ("Dadar Kirti", "Kedar Chatujye (Tapas Paul),", "Saraswati to marry Kedar.", 174, 2),
    ("Dr. Strangelove", "United States Air Force", 'song "We\'ll Meet Again".', 865, 7),
    ("Evil Dead II", "The movie opens with", "and screams in anguish.", 735, 6),
    ("Four Daughters", "The Lemp sisters, Emma", "Ann renew their love.", 473, 6),
    ("Health (film)", "Bearing similarities to Altman's", "that closes the film.", 669, 8),
    ("Hum Saath-Saath Hain", "The plot revolves around", "couples are finally married.", 340, 4),
    ("K.G.F: Chapter 1", "Journalist Anand Ingalagi's book", "shown in Chapter 2.", 682, 5),
    ("Kadavul", "Parvathi (Roja), a young", "appears as a human.", 174, 4),
    ("Kelviyum Naane Pathilum Naane", "Nirmal (Karthik) teaches piano", "her late daughter Usha.", 178, 3),
    ("Mamma Mia! Here We Go Again", "Sophie Sheridan is preparing", "at Hotel Bella Donna.", 759, 7),
    ("Manathe Kottaram", "Four struggling young men", "star in a movie.", 42, 1),
    ("Marquis de Sade: Justine", "The film is narrated", "seen walking away peacefully.", 870, 8),
    ("Midnight Cowboy", "Joe Buck, a young", "around his dead friend.", 618, 7),
    ("Minda Poochakku Kalyanam", "Balaraman Pillai (Sankaradi) is", "arrives in the village.", 206, 4),
    ("New Low", "Wendell, a neurotic, aimless", "under all that neurosis.", 54, 1),
    ("Ninja Scroll", "In Edo period-Japan, the", "around his sword's hilt.", 684, 6),
    ("Not Another B Movie", "The film revolves around", "card and heads out.", 363, 4),
    ("Padai Veetu Amman", "Meena plays the dual", "of the distressed village.", 149, 1),
    ("Ra.One", "Shekhar Subramanium, a game", "of his late father.", 549, 5),
    ("Raising the Wind (1961 film)", "Mervyn, Malcolm, Alex, Miranda", "study violin in Amsterdam.", 292, 5),
    ("Roam Rome Mein", "The film revolves around", "well as his own.", 52, 1),
    ("Rocky", "In late 1975, the", "result of the fight.", 476, 5),
    ("Run for Love", "Five different love stories", "that she never expected.", 327, 6),
    ("Rush (2013 film)", "James Hunt and Niki", "driver he ever envied.", 684, 5),
    ("Seven Brides for Seven Brothers", "In 1850, backwoodsman Adam", "of the Pontipee cabin.", 1086, 10),
    ("Taxi Driver", "Travis Bickle, a 26-year-old", "in his rear-view mirror.", 675, 7),
    ("The Adventures of Milo and Otis", "The film opens in", "and the credits roll.", 268, 3),
    ("The Ballad of Buster Scruggs", "Buster Scruggs, a cheerful", "their own way inside.", 1732, 15),
    ("The Cannonball Run", "Race teams have gathered", "flying into the water.", 1057, 23),
    ("The Devil and Daniel Webster (film)", "In 1840 New Hampshire,", "wordlessly at the viewer.", 688, 5),
    ("The Incredibles", "Public opinion turns against", "together as a family.", 691, 7),
    ("The Life of Emile Zola", "Set in the mid", "which Dreyfus is exonerated.", 436, 8),
    ("The Owner", "The Owner follows a", "record with 21 directors.", 134, 3),
    ("The Resurrection of Zachary Wheeler", "Reporter Harry Walsh (Nielsen)", "have been hoping for.", 339, 7),
    ("Thira (film)", "The story is set", "and action from Naveen.", 114, 1),
    ("Welcome (2007 film)", "Uday (Nana Patekar), a", "with Sanjana and Ishika.", 747, 5),
    ("X-Men: First Class", "In 1944, in a", 'introduces himself as "Magneto".', 722, 6),
]
MARKUP = re.compile(r"\[\[|\]\]|[{}|]|''|<[a-z/!]|  |__[A-Z]+__| [,;:]|\( | \)|\(\)|File:|https?:|&\w+;", re.IGNORECASE)
LONG = "Ann leaves the farm to find her brother, " * 6 + "and finds him."


@lru_cache(maxsize=1)
def real_pages() -> dict[str, tuple[dict[str, object], str]]:
    if not REAL.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("the real articles are not beside the project")
    index = json.loads((REAL / "index.json").read_text(encoding="utf-8"))
    return {page["title"]: (page, wikitext(REAL / page["xml"])) for page in index}


def wikitext(file: Path) -> str:
    return ET.parse(file).findtext("revision/text") or ""  # noqa: S314 - our own copies of the export


def plot(body: str) -> str | None:
    return wikipedia.plot(f"Lead.\n==Plot==\n{body}\n==Cast==\nBob as Ann.")


@pytest.mark.parametrize(
    ("title", "first", "last", "words", "paragraphs"), REAL_PLOTS, ids=lambda value: str(value)[:20]
)
def test_the_plot_of_a_real_article_is_whole(title: str, first: str, last: str, words: int, paragraphs: int) -> None:
    text = wikipedia.plot(real_pages()[title][1])
    assert text is not None
    assert (text[: len(first)], text[-len(last) :]) == (first, last)
    assert (len(text.split()), len(text.split("\n\n"))) == (words, paragraphs)


def test_no_plot_or_lead_of_a_real_article_holds_markup() -> None:
    for _, source in real_pages().values():
        for text in filter(None, (wikipedia.plot(source), wikipedia.lead(source))):
            assert not MARKUP.search(text)


def test_a_real_article_has_a_plot_where_it_has_a_plot_section() -> None:
    for page, source in real_pages().values():
        assert (wikipedia.plot(source) is not None) == page["plot_section"], page["title"]


def test_a_real_article_of_a_film_is_one_and_the_article_of_a_series_is_none() -> None:
    for title, (page, source) in real_pages().items():
        assert wikipedia.is_film(source) == (page["infobox_film"] and title != "Alpha and Omega (film series)"), title


def test_a_real_redirect_names_its_target() -> None:
    for page, source in real_pages().values():
        assert wikipedia.redirect(source) == page["redirect"]
        assert not wikipedia.is_disambiguation(source)


@pytest.mark.parametrize(
    ("title", "year", "imdb_id", "poster"),
    [
        ("48 Hrs.", 1982, "tt0083511", "Forty eight hrs.jpg"),
        ("Evil Dead II", 1987, "tt0092991", "Evil Dead II poster.jpg"),
        ("American Drug War: The Last White Hope", 2007, "tt1033467", "American Drug War - The Last White Hope.jpg"),
        ("Dadar Kirti", 1980, "tt0237132", "Dadar kirti.jpg"),
        ("Manathe Kottaram", 1995, "tt0353704", "Manathe Kottaram poster.jpg"),
        ("Baadshaho", 2017, "tt4906960", "Ajay Devgn's Baadshaho.JPG"),
        ("Kalavaadiya Pozhuthugal", 2017, "tt7254046", "Kalavaadiya Pozhuthugal Poster.jpg"),
        ("Padai Veetu Amman", 2002, None, None),
        ("Run for Love", 2016, "tt4655294", "Runforlove.jpg"),
    ],
)
def test_the_facts_of_a_real_article(title: str, year: int, imdb_id: str | None, poster: str | None) -> None:
    source = real_pages()[title][1]
    assert (wikipedia.year(source), wikipedia.imdb_id(source), wikipedia.poster(source)) == (year, imdb_id, poster)


def test_every_real_film_article_has_a_lead_and_a_year() -> None:
    for page, source in real_pages().values():
        assert (wikipedia.lead(source) is not None) == (wikipedia.year(source) is not None) == page["infobox_film"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Ann<ref>Note {{cite|a=b}}</ref> runs<ref name=a/>.", "Ann runs."),
        ('Ann<ref name="a" /> runs<REF>x</REF >.<ref group="n">y</ref>', "Ann runs."),
        ("Ann{{efn|A note<ref>deep</ref>.}} runs.", "Ann runs."),
        ("Ann [[File:A.jpg|thumb|A [[cat|house cat]] and {{nowrap|a dog}}]]runs.", "Ann runs."),
        ("[[Image:A.jpg|left|[[Ann]]]]\nAnn runs.", "Ann runs."),
        ("[[File:A.jpg|thumb|by [http://a.org Bob]]]\nAnn runs.", "Ann runs."),
        ("Ann runs.[[Category:Runs|Ann]] [[fr:Anne]]", "Ann runs."),
        ("Ann <!-- not ==Plot== --> runs.", "Ann runs."),
        ("Ann runs.\n<!-- a remark -->\nBob sits.", "Ann runs. Bob sits."),
        ("<i>Ann</i> <small class=x>runs</small><br/>on<br>.", "Ann runs on."),
        ("Ann<gallery>\nFile:A.jpg|x\n</gallery> runs<math>x^2</math>.", "Ann runs."),
        ("Ann <nowiki>[runs]</nowiki>, Bob'''<nowiki/>'s dog.", "Ann [runs], Bob's dog."),
        ("'''Ann''' ''runs'', Bob's dog'''''sits'''''.", "Ann runs, Bob's dogsits."),
        ("''Jaws'''s shark.\n\nL''''amour'''.", "Jaws's shark.\n\nL'amour."),
        ("''Jaws''{{'}}s shark, ''Alien''{{'s}} egg.", "Jaws's shark, Alien's egg."),
        ("An ''unbalanced quote.\n\nAnn runs '''far.", "An unbalanced quote.\n\nAnn runs far."),
        ("__NOTOC__Ann runs.{{DEFAULTSORT:Run}}", "Ann runs."),
        ("Ann&nbsp;runs &amp; Bob&#39;s dog &mdash; sits.", "Ann runs & Bob's dog — sits."),
        ("The cast:\n* Ann\n*: Bob\n# Cy\nThey run.", "The cast:\n\nAnn\n\nBob\n\nCy They run."),
        ("===Act one===\nAnn runs.\n==== Scene ====\nBob sits.", "Ann runs.\n\nBob sits."),
        ("Ann\nruns.\n \nBob\tsits.", "Ann runs.\n\nBob sits."),
        (
            "[[Ann (cat)|Ann]]s [[run]]ning to [http://a.org/b?c=d|e the sea] [[#Cast|cast]].",
            "Anns running to the sea cast.",
        ),
        ("[[Ann#Life]] runs to [[:Category:Cats]] and [[New_York]].", "Ann runs to Category:Cats and New York."),
        ("Ann ({{IPA|x}}; {{lang|fr|}}) runs ({{cn}}), far {{cn}}.", "Ann runs, far."),
        ("{|class=x\n|-\n! Ann\n| runs\n{|\n| in\n|}\n|}\nBob sits.", "Bob sits."),
        ("<blockquote>Ann runs.</blockquote>Bob sits.", "Ann runs.\n\nBob sits."),
        ("He fires a .380 for 5 < 6 ... no.", "He fires a .380 for 5 < 6 ... no."),
        ("{{Main|Ann}}\n{{Quote box|quote=A [[run]] {{nowrap|x}}}}\n{{Expand section}}Ann runs.", "Ann runs."),
    ],
)
def test_markup_goes_and_prose_stays(source: str, text: str) -> None:
    assert plot(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{nowrap|[[Mr.|Mr.]] {{nobr|T}}}}", "Mr. T"),
        ("{{lang|fr|Le Run}}", "Le Run"),
        ("{{lang-de|Der Lauf}}", "Der Lauf"),
        ("{{transl|ja|ISO|Hashiru}}", "Hashiru"),
        ("{{transliteration|ru|Beg}}", "Beg"),
        ("{{Nihongo|Run|走|Hashiru}}", "Run"),
        ("{{convert|10|km}}", "10 km"),
        ("{{convert|10|to|20|km|mi|abbr=on}}", "10 to 20 km"),
        ("{{convert|6|ft|2|in|m}}", "6 ft 2 in"),
        ("1975{{ndash}}76", "1975\N{EN DASH}76"),
        ("Ann{{snd}}a cat{{spaced ndash}}runs", "Ann \N{EN DASH} a cat \N{EN DASH} runs"),
        ("5{{nbsp}}km", "5 km"),
        ("{{circa|1850}}", "c. 1850"),
        ("{{frac|1|2}} of {{frac|2|1|3}}", "1/2 of 2 1/3"),
        ("{{small|Ann}} {{sic|rnus|hide=y}}", "Ann rnus"),
        ("{{ill|Ann Bo|fr|Ann|lt=Ann}} {{abbr|Dr.|Doctor}}", "Ann Dr."),
        ("{{USS|Enterprise|CVN-65|6}} {{ship|HMS|Ark|A1}}", "USS Enterprise HMS Ark"),
        ("{{as of|2010|lc=y}}", "as of 2010"),
        ("{{US$|100}} {{INR|5}}", "US$100 ₹5"),
        ("{{visible anchor|Ann}} {{tooltip|runs|fast}}", "Ann runs"),
        ("{{ubl|Ann|Bob}}", "Ann\n\nBob"),
        ("{{quote|Run, Ann.|Bob}}", "Run, Ann."),
        ("{{unknown|Ann}} Bob", "Ann Bob"),
    ],
)
def test_templates_of_text_are_substituted(source: str, text: str) -> None:
    assert plot(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "Ann runs.<ref>{{cite|x}}\n\nBob sits.",
        "Ann runs.<ref>{{cite|x}} <ref name=a>y</ref>\n\nBob sits.",
        "Ann runs.{{cite web|url=http://a.org\n\nBob sits.",
        "Ann [[run|runs.\n\nBob sits.",
        "Ann runs. [[File:A.jpg|thumb|Ann\n\nBob sits.",
        "Ann runs. {{nowrap|[[|}}\n\nBob sits.",
        "Ann runs. }} ]]\n\nBob sits.",
        "Ann runs. <!-- remark\n\nBob sits.",
        "Ann runs.\n{| class=x\n| cell\n\nBob sits.",
        "Ann runs. <i <b>\n\nBob sits.</div>",
        "Ann runs.<gallery>\nFile:A.jpg|x\n\nBob sits.",
    ],
)
def test_what_is_never_closed_swallows_no_prose(source: str) -> None:
    text = plot(source) or ""
    assert text.startswith("Ann run")
    assert text.endswith("Bob sits.")


@pytest.mark.parametrize(
    "heading",
    [
        "==Plot==",
        "== Plot == <!-- 400-700 words -->",
        "=='''Synopsis'''==",
        "==STORYLINE==",
        "==Plot and themes==",
        "==Story/Plot==",
        "==Cast & plot==",
        "=Plot=",
        "===Plot summary===",
        "== [[Plot (narrative)|Plot]] ==",
        "==Premise==",
        "==Plot {{anchor|p}}==",
        "==Story==",
    ],
)
def test_a_heading_that_names_the_plot_is_found(heading: str) -> None:
    mark = "=" * (len(heading) - len(heading.lstrip("=")))
    assert wikipedia.plot(f"Lead.\n{heading}\nAnn runs.\n{mark}Cast{mark}\nBob.\n") == "Ann runs."


@pytest.mark.parametrize("heading", ["==Plot holes==", "==Story and script==", "==Cast==", "====Plot====", "Plot"])
def test_another_heading_is_no_plot(heading: str) -> None:
    assert wikipedia.plot(f"Lead.\n{heading}\nAnn runs.") is None


@pytest.mark.parametrize(
    "body", ["", "{{expand section|date=May 2020}}", "<!-- empty -->", "[[File:A.jpg]]", "<ref>a</ref>", "..."]
)
def test_an_empty_plot_is_none(body: str) -> None:
    assert plot(body) is None


def test_a_heading_in_a_comment_or_a_nowiki_is_none() -> None:
    assert wikipedia.plot("Lead.<!--\n==Plot==\nAnn runs.\n-->\n<nowiki>\n==Plot==\n</nowiki>Bob.") is None


def test_of_two_plots_the_first_with_prose_is_taken() -> None:
    assert wikipedia.plot(f"==Plot==\n{LONG}\n==Cast==\nBob.\n==Plot==\nAgain, {LONG}") == LONG
    assert wikipedia.plot(f"==Plot==\n{{{{stub}}}}\n==Plot==\n{LONG}") == LONG


def test_a_stub_gives_way_to_a_longer_section_and_the_plot_goes_before_the_premise() -> None:
    assert wikipedia.plot(f"==Plot==\nAnn runs.\n==Synopsis==\n{LONG}") == LONG
    assert wikipedia.plot(f"==Premise==\n{LONG} So it goes.\n==Plot==\n{LONG}") == LONG
    assert wikipedia.plot("==Premise==\nAnn is fast.\n==Plot==\nAnn runs.") == "Ann is fast."


def test_a_plot_below_another_heading_counts_only_without_one_of_level_two() -> None:
    assert wikipedia.plot(f"==Plot==\nAnn runs.\n==Musical==\n===Plot===\n{LONG}") == "Ann runs."
    assert wikipedia.plot(f"==Film==\n===Plot===\n{LONG}\n===Cast===\nBob.") == LONG


def test_the_lead_is_the_prose_before_the_first_heading() -> None:
    source = "{{About|x}}\n{{Infobox film\n| name = Run\n| starring = {{ubl|[[Ann]]|Bob}}\n}}\n"
    source += "'''Run''' is a film.\n==Plot==\nAnn."
    assert wikipedia.lead(source) == "Run is a film."
    assert wikipedia.lead("#REDIRECT [[Run]]") is None
    assert wikipedia.lead("{{Infobox film\n| name = Run\n| country = France\n\nRun is a film.") == "Run is a film."


def test_categories_are_named_once_and_in_order() -> None:
    source = "[[Category:1988 films|Run]]\n[[category: films_about_cats ]][[:Category:Dogs]]"
    source += "<!--[[Category:A]]--><nowiki>[[Category:B]]</nowiki>[[Category:1988 films]]"
    assert wikipedia.categories(source) == ["1988 films", "Films about cats"]


def test_tags_come_from_categories_that_speak_of_content() -> None:
    said = [
        "Films about the Cold War",
        "American films about revenge",
        "Films set in the 1980s",
        "Drama films set on trains",
        "Films set at Christmas",
        "Films set during World War II",
        "Films based on British novels",
        "Fiction about ghosts",
        "Films about Revenge",
        "Films about revenge",
    ]
    tags = [
        "Cold War",
        "revenge",
        "1980s",
        "trains",
        "Christmas",
        "World War II",
        "based on British novels",
        "ghosts",
        "Revenge",
    ]
    assert wikipedia.content_tags(said) == tags
    silent = [
        "Films shot in Rome",
        "Films directed by Ann",
        "1988 films",
        "English-language films",
        "Lists of films about cats",
        "American films",
        "Films scored by Bob",
        "Films with screenplays by Ann",
        "Drama films",
    ]
    assert wikipedia.content_tags(silent) == []


@pytest.mark.parametrize(
    ("source", "year"),
    [
        ("[[Category:1989 films]] [[Category:1988 films]] {{Infobox film|released={{Film date|1987}}}}", 1988),
        ("{{Infobox film|released={{Film date|df=yes|1988|5|1|1990|1|2}}|image=2001.jpg}}", 1988),
        ("{{Infobox Film\n| released = {{start date|1988|5}}\n}}", 1988),
        ("{{Infobox movie\n| released = May 1988<ref>In 1970</ref>\n}}", 1988),
        ("{{Infobox film|name=x}}\n==Music==\n{{Infobox album|released=1999}}", None),
        ("{{Infobox film|runtime=1988 minutes}} [[Category:1980s films]]<!--[[Category:1988 films]]-->", None),
    ],
)
def test_the_year_is_the_categorys_else_the_infoboxs(source: str, year: int | None) -> None:
    assert wikipedia.year(source) == year


@pytest.mark.parametrize(
    ("source", "film"),
    [
        ("{{Infobox film\n|name=Run}}", True),
        ("{{infobox_film |name=Run}}", True),
        ("{{Infobox television film|name=Run}}", True),
        ("{{Infobox film <!-- see WikiProject Film -->\n|name=Run}}", True),
        ("Run. [[Category:1988 films|Run]]", True),
        ("{{Infobox film|name=Rocky}}[[Category:Rocky (film series)]]", True),
        ("{{Infobox film|name=Run}}[[Category:Animated film series]]", False),
        ("{{Infobox film series|name=Run}}[[Category:Film genres]]", False),
        ("{{Infobox film festival|name=Run}}", False),
        ("{{Infobox book}}\n==Film==\n{{Infobox film}}", False),
        ("A list. [[Category:1988 films| ]]", False),
        ("<!-- {{Infobox film}} --> A genre.", False),
    ],
)
def test_a_film_is_told_from_a_series_a_list_and_a_genre(source: str, film: bool) -> None:
    assert wikipedia.is_film(source) is film


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("#redirect[[Run_(film)#Plot|x]]", "Run (film)"),
        ("\n#REDIRECT: [[Run]]", "Run"),
        ("See #REDIRECT [[Run]]", None),
    ],
)
def test_a_redirect_names_its_target(source: str, target: str | None) -> None:
    assert wikipedia.redirect(source) == target


@pytest.mark.parametrize(
    "name", ["disambiguation", "Disambig", "dab|film", "hndis|Run, Ann", "film disambiguation", "SIA"]
)
def test_a_disambiguation_page_is_told(name: str) -> None:
    assert wikipedia.is_disambiguation(f"'''Run''' may be:\n{{{{{name}}}}}")


@pytest.mark.parametrize(
    "name", ["Other uses|Run (disambiguation)", "disambiguation needed", "redirect|x", "dablink|x"]
)
def test_a_hatnote_makes_no_disambiguation_page(name: str) -> None:
    assert not wikipedia.is_disambiguation(f"{{{{{name}}}}} Run is a film.")


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("evil_dead ii poster.jpg", "Evil dead ii poster.jpg"),
        ("[[File:Run.PNG|250px|alt=x]]", "Run.PNG"),
        ("Image:Run.svg <!-- ok -->", "Run.svg"),
        ("", None),
        ("<!-- Run.jpg -->", None),
    ],
)
def test_the_poster_is_the_infoboxs_image(value: str, file: str | None) -> None:
    assert wikipedia.poster(f"{{{{Infobox film\n| image = {value}\n| caption = Other.jpg\n}}}}") == file


@pytest.mark.parametrize(
    ("template", "imdb_id"),
    [
        ("IMDb title|0083511|48 Hrs.", "tt0083511"),
        ("IMDb title|id=tt0083511", "tt0083511"),
        ("imdb title|83511", "tt0083511"),
        ("IMDb title|title=1984|id = 12345678", "tt12345678"),
        ("IMDb title", None),
        ("IMDb name|id=nm0000001", None),
    ],
)
def test_the_imdb_id_has_its_prefix_and_seven_digits(template: str, imdb_id: str | None) -> None:
    assert wikipedia.imdb_id(f"* {{{{{template}}}}}") == imdb_id


FRAGMENTS = st.sampled_from(
    [
        "[[",
        "]]",
        "{{",
        "}}",
        "|",
        "''",
        "'''",
        "<ref>",
        "</ref>",
        "<ref/>",
        "<!--",
        "-->",
        "<i>",
        "</i>",
        "<br>",
        "{|\n",
        "|}",
        "\n",
        "\n\n",
        "== Plot ==\n",
        "=== Act ===\n",
        "* ",
        "# ",
        ": ",
        "File:a.jpg",
        "thumb",
        "Category:X",
        "&nbsp;",
        "&amp;",
        "&lt;",
        "&#39;",
        "{{'}}",
        "{{nowrap|",
        "<nowiki>",
        "</nowiki>",
        "<nowiki/>",
        "http://a.b",
        "[http://a.b c]",
        "__NOTOC__",
        "Ann runs",
        "the end.",
        "x",
        "=",
        "(",
        ")",
        ",",
        " ",
        "{{convert|10|km}}",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "1",
        ".",
        "{{quote|",
        "{{ubl|",
        "'",
        ";",
        "-",
        "----",
        "{{!}}",
        "<gallery>",
        "</gallery>",
        "{{Infobox film|",
        "{{IMDb title|",
    ]
)
SENTENCES = st.lists(
    st.from_regex(r"[A-Z][a-z]{1,8}( [a-z0-9]{1,8}){1,6}[.!?]", fullmatch=True), min_size=1, max_size=4
)
GLUED_MARKUP = re.compile(r"\[\[|\]\]|[{}|]|''|<[a-z/!]|  |__NOTOC__| [,;]|\( |\(\)")


@settings(max_examples=400)
@given(st.lists(FRAGMENTS, max_size=25).map("".join))
def test_glued_markup_leaves_no_mark_and_a_clean_plot_stays_as_it_is(source: str) -> None:
    for text in filter(None, (wikipedia.plot("==Plot==\n" + source), wikipedia.lead(source))):
        assert not GLUED_MARKUP.search(text)
        assert wikipedia.plot("==Plot==\n" + text) == text


@settings(max_examples=200)
@given(st.text() | st.lists(FRAGMENTS, max_size=40).map("".join))
def test_no_text_makes_a_reader_fail(source: str) -> None:
    for read in READERS:
        read(source)


def test_a_null_character_does_not_end_the_plot() -> None:
    assert plot("Ann <i>\0runs</i>\0.\n\nBob sits.") == "Ann runs.\n\nBob sits."


@settings(max_examples=100)
@given(st.lists(SENTENCES.map(" ".join), min_size=1, max_size=4).map("\n\n".join))
def test_plain_prose_is_its_own_plot(prose: str) -> None:
    assert wikipedia.plot(f"==Plot==\n{prose}\n") == prose


@pytest.mark.parametrize(
    "mark",
    [
        *("[[", "{{", "<ref>", "''", "[[a|", "{{a|[[b|", "<!--", "{|\n", "<i>", " ,", "==x==\n", "a", "( ", "]]"),
        *("[[a]]", "<i ", "[http://a ", "<a1 <b2 ", "{|\n|}\n"),
    ],
)
def test_a_megabyte_of_one_mark_takes_less_than_five_seconds(mark: str) -> None:
    source = "{{Infobox film|image=x}}\n==Plot==\n" + mark * (1_000_000 // len(mark))
    for read in READERS:
        start = time.process_time()
        read(source)
        assert time.process_time() - start < 5, read


def test_marks_that_cross_one_another_by_the_thousand_take_less_than_five_seconds() -> None:
    started = time.process_time()
    prose = wikipedia.plot("== Plot ==\n" + "<i>{{a|</i>}}" * 5000 + "\n\nA story is told here.") or ""
    assert time.process_time() - started < 5
    assert prose.endswith("A story is told here.")

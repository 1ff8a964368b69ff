"""Wikidata on loopback: `wbgetentities` in the API's own shape, and a query service that really evaluates SPARQL."""

import gzip
import itertools
import json
import math
import re
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote

import rdflib
from pyparsing.exceptions import ParseBaseException
from rdflib import RDFS, XSD, Graph, Literal, Namespace, URIRef, Variable
from rdflib.paths import Path as PropertyPath
from rdflib.plugins import sparql
from rdflib.plugins.sparql.evalutils import _ebv
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.plugins.sparql.sparql import FrozenBindings, QueryContext, SPARQLError

from servers.tmdb import REAL, Answer, Json, Loopback, Request, origin_country, real_films

WD = Namespace("http://www.wikidata.org/entity/")
WDT = Namespace("http://www.wikidata.org/prop/direct/")
WIKIBASE = Namespace("http://wikiba.se/ontology#")
SCHEMA = Namespace("http://schema.org/")
_WIKIPEDIA = URIRef("https://en.wikipedia.org/")
_PREFIXES: dict[str, Any] = {"wd": WD, "wdt": WDT, "wikibase": WIKIBASE, "schema": SCHEMA, "rdfs": RDFS, "xsd": XSD}

LIMIT = 50
LARGEST_QID = 2_147_483_647
_WIKIS = [
    f"{code}wiki"
    for code in (
        "de", "fr", "es", "it", "ru", "ja", "pl", "pt", "nl", "sv", "uk", "fa", "ar", "ko", "he", "tr", "cs", "fi",
        "hu", "zh", "da", "no", "ca", "ro", "el", "bg", "sr", "hr", "sk", "sl", "et", "lt", "lv", "eu",
    )
]  # fmt: skip

sparql.SPARQL_LOAD_GRAPHS = False  # a FROM clause must not reach out of this machine


def _snak(prop: str, value: str) -> Json:
    if re.fullmatch(r"Q\d+", value):
        item = {"entity-type": "item", "numeric-id": int(value[1:]), "id": value}
        return {"datavalue": {"value": item, "type": "wikibase-entityid"}, "datatype": "wikibase-item"}
    if prop == "P577":
        return {"datavalue": {"value": _time(value), "type": "time"}, "datatype": "time"}
    if amount := re.fullmatch(r"([+-]\d+) (Q\d+)", value):
        quantity = {"amount": amount[1], "unit": f"http://www.wikidata.org/entity/{amount[2]}"}
        return {"datavalue": {"value": quantity, "type": "quantity"}, "datatype": "quantity"}
    datatype = "string" if prop in ("P218", "P220", "P297") else "external-id"
    return {"datavalue": {"value": value, "type": "string"}, "datatype": datatype}


def _time(date: str) -> Json:
    """Give a date of year, month or day precision as Wikibase holds it."""
    padded = "-".join(([*date.split("-"), "00", "00"])[:3])
    zeros = {"timezone": 0, "before": 0, "after": 0}
    calendar = "http://www.wikidata.org/entity/Q1985727"
    return {
        "time": f"+{padded}T00:00:00Z",
        **zeros,
        "precision": 9 + date.count("-"),
        "calendarmodel": calendar,
    }


def _statement(qid: str, prop: str, value: str, number: int) -> Json:
    return {
        "mainsnak": {"snaktype": "value", "property": prop, **_snak(prop, value)},
        "type": "statement",
        "id": f"{qid}${prop}-{number}",
        "rank": "normal",
    }


def item(qid: str, label: str, claims: Mapping[str, Sequence[str]], links: Mapping[str, str], revision: int) -> Json:
    """Make an item as `wbgetentities` shows it; a claim's value is a Q-id, a date, `+98 Q7727` or a string."""
    return {
        "pageid": int(qid[1:]) + 1000,
        "ns": 0,
        "title": qid,
        "lastrevid": revision,
        "modified": "2024-05-06T07:08:09Z",
        "type": "item",
        "id": qid,
        "labels": {"en": {"language": "en", "value": label}},
        "descriptions": {},
        "aliases": {},
        "claims": {
            prop: [_statement(qid, prop, value, number) for number, value in enumerate(values)]
            for prop, values in claims.items()
            if values
        },
        "sitelinks": {site: {"site": site, "title": title, "badges": []} for site, title in links.items()},
    }


def entity(
    qid: str,
    label: str,
    *,
    tmdb: int | None = None,
    imdb: str | None = None,
    article: str | None = None,
    dates: Sequence[str] = (),
    genres: Sequence[str] = (),
    subjects: Sequence[str] = (),
    languages: Sequence[str] = (),
    countries: Sequence[str] = (),
    sitelinks: int = 1,
    revision: int = 1_000_000_000,
    kind: str = "Q11424",
    more: Mapping[str, Sequence[str]] | None = None,
) -> Json:
    """Make a film's item; its sitelinks are the English article, if any, and made-up ones up to the number asked.

    `more` holds further claims: `{"P57": ["Q25191"]}`.
    """
    links = {"enwiki": article} if article else {}
    links |= dict.fromkeys(_WIKIS[: sitelinks - len(links)], label)
    claims = {
        "P31": [kind],
        "P4947": [str(tmdb)] if tmdb else [],
        "P345": [imdb] if imdb else [],
        "P577": dates,
        "P136": genres,
        "P921": subjects,
        "P364": languages,
        "P495": countries,
        **(more or {}),
    }
    return item(qid, label, claims, links, revision)


def redirect(qid: str, target: str) -> Json:
    """Make an item that was merged into another one."""
    return {"id": qid, "redirect": target}


_GENRES = {
    "Action": "Q188473", "Adventure": "Q319221", "Animated": "Q202866", "Biography": "Q645928", "Comedy": "Q157443",
    "Crime": "Q959790", "Disaster": "Q846544", "Documentary": "Q93204", "Drama": "Q130232", "Family": "Q1361932",
    "Fantasy": "Q157394", "Historical": "Q17013749", "Horror": "Q200092", "Independent": "Q459290",
    "Musical": "Q842256", "Mystery": "Q1200678", "Noir": "Q185867", "Romance": "Q1054574",
    "Science Fiction": "Q471839", "Short": "Q24862", "Silent": "Q226730", "Slasher": "Q853630", "Spy": "Q2297927",
    "Sports": "Q1339864", "Superhero": "Q1535153", "Teen": "Q1146335", "Thriller": "Q2484376", "War": "Q369747",
    "Western": "Q172980",
}  # fmt: skip
_LANGUAGES = {
    "en": "Q1860", "fr": "Q150", "es": "Q1321", "zh": "Q7850", "it": "Q652", "hi": "Q1568", "ja": "Q5287",
    "da": "Q9035", "he": "Q9288", "de": "Q188", "ko": "Q9176", "fa": "Q9168", "el": "Q9129", "no": "Q9043",
    "nl": "Q7411", "cn": "Q9186",
}  # fmt: skip
_COUNTRIES = {
    "US": "Q30", "FR": "Q142", "ES": "Q29", "CN": "Q148", "IT": "Q38", "IN": "Q668", "JP": "Q17", "DK": "Q35",
    "IL": "Q801", "DE": "Q183", "KR": "Q884", "IR": "Q794", "GR": "Q41", "NO": "Q20", "NL": "Q55", "HK": "Q8646",
}  # fmt: skip
_ANIMATED_FEATURE, _FILM, _FILM_GENRE = "Q29168811", "Q11424", "Q201658"
_MADE_UP_GENRES, _SUBJECTS, _COMMON = 190_000_000, 180_000_000, 20


def _genre_qid(name: str) -> str:
    return _GENRES.get(name) or f"Q{_MADE_UP_GENRES + zlib.crc32(name.encode()) % 9_999_999}"


def real_entities() -> list[Json]:
    """Make an item for each real film that has an article, the items they name, and add the two real items."""
    with gzip.open(REAL / "wikipedia.jsonl.gz", "rt", encoding="utf-8") as lines:
        articles = {row["tmdb_id"]: row for row in map(json.loads, lines) if row["tmdb_id"]}
    films = [film for film in real_films() if film["id"] in articles]
    counts = Counter(keyword["id"] for film in films for keyword in film["keywords"])
    subjects = {number for number, count in counts.items() if count >= _COMMON}
    kept = [json.loads(file.read_bytes())["entities"] for file in sorted((REAL / "wikidata").glob("Q*.json"))]
    return [
        *(_real_entity(film, articles[film["id"]], subjects) for film in films),
        *_vocabulary({name for row in articles.values() for name in row["genres"]}),
        *_subject_items(films, subjects),
        *(each for entities in kept for each in entities.values()),
    ]


def _real_entity(film: Json, article: Json, subjects: set[int]) -> Json:
    animated = "Animated" in article["genres"]
    return entity(
        film["wikidata_id"],
        film["title"],
        tmdb=film["id"],
        imdb=film["imdb_id"],
        article=unquote(article["page"]).replace("_", " "),
        dates=[film["release_date"]],
        genres=[_genre_qid(name) for name in article["genres"]],
        subjects=[f"Q{_SUBJECTS + each['id']}" for each in film["keywords"] if each["id"] in subjects][:3],
        languages=[_LANGUAGES[film["original_language"]]],
        countries=[_COUNTRIES[code] for code in origin_country(film)],
        sitelinks=1 + min(math.isqrt(film["vote_count"]) // 6, len(_WIKIS)),
        revision=1_000_000_000 + film["id"],
        kind=_ANIMATED_FEATURE if animated else _FILM,
    )


def _subject_items(films: list[Json], subjects: set[int]) -> Iterator[Json]:
    names = {each["id"]: each["name"] for film in films for each in film["keywords"] if each["id"] in subjects}
    return (item(f"Q{_SUBJECTS + number}", name, {}, {}, 1) for number, name in names.items())


def _vocabulary(genres: set[str]) -> Iterator[Json]:
    """Make the items of genres, languages, countries and kinds of film."""
    for name in sorted(genres | {"Animated"}):
        label = "film noir" if name == "Noir" else f"{name.lower()} film"
        yield item(_genre_qid(name), label, {"P31": [_FILM_GENRE], "P279": [_FILM]}, {}, 1)
    for code, qid in _LANGUAGES.items():
        # TMDB's `cn` (Cantonese) is no ISO 639-1 code
        yield item(qid, f"language {code}", {"P218": [code] if code != "cn" else []}, {}, 1)
    for code, qid in _COUNTRIES.items():
        yield item(qid, f"country {code}", {"P297": [code]}, {}, 1)
    yield item(_ANIMATED_FEATURE, "animated feature film", {"P279": [_GENRES["Animated"]]}, {}, 1)
    yield item(_FILM, "film", {}, {}, 1)
    yield item(_FILM_GENRE, "film genre", {}, {}, 1)


def graph(entities: Iterable[Json]) -> Graph:
    """Make the graph of the truthy statements, labels, English articles and numbers of sitelinks."""
    made = Graph(bind_namespaces="none")
    for each in entities:
        for triple in _triples(each):
            made.add(triple)
    return made


def _triples(each: Json) -> Iterator[tuple[URIRef, URIRef, Any]]:
    subject = WD[each["id"]]
    if "redirect" in each:
        yield subject, rdflib.OWL.sameAs, WD[each["redirect"]]
        return
    for language, label in each["labels"].items():
        yield subject, RDFS.label, Literal(label["value"], lang=language)
    for prop, statements in each["claims"].items():
        for value in _truthy(statements):
            yield subject, WDT[prop], value
    yield subject, WIKIBASE.sitelinks, Literal(len(each["sitelinks"]))
    if link := each["sitelinks"].get("enwiki"):
        article = URIRef(f"{_WIKIPEDIA}wiki/" + quote(link["title"].replace(" ", "_"), safe="/:(),!'*@;"))
        yield article, SCHEMA.about, subject
        yield article, SCHEMA.isPartOf, _WIKIPEDIA
        yield article, SCHEMA.name, Literal(link["title"], lang="en")


def _truthy(statements: list[Json]) -> list[Any]:
    ranks = {statement["rank"] for statement in statements}
    best = "preferred" if "preferred" in ranks else "normal"
    snaks = [statement["mainsnak"] for statement in statements if statement["rank"] == best]
    values = [_node(snak["datavalue"]) for snak in snaks if snak["snaktype"] == "value"]
    return [value for value in values if value is not None]


def _node(datavalue: Json) -> URIRef | Literal | None:
    value = datavalue["value"]
    match datavalue["type"]:
        case "wikibase-entityid":
            return WD[value["id"]]
        case "time":
            # the query service shows an unknown month or day as the first
            return Literal(value["time"].lstrip("+").replace("-00", "-01"), datatype=XSD.dateTime)
        case "string":
            return Literal(value)
        case "monolingualtext":
            return Literal(value["text"], lang=value["language"])
        case "quantity":
            return Literal(value["amount"].lstrip("+"), datatype=XSD.decimal)
    return None


_Bindings = dict[Variable, Any]


class _Plan:
    """A filter over joined triple patterns and VALUES, in an order that keeps few rows.

    rdflib alone starts with every pattern of one unknown, here all films times all articles, and filters last.
    """

    def __init__(self, part: CompValue) -> None:
        self.conditions = _conditions(part.expr) if part.name == "Filter" else []
        self.triples, self.values = _patterns(part.p if part.name == "Filter" else part)

    def steps(self, bound: set[Variable]) -> Iterator[Any]:
        """TextOrder the patterns: connected ones first, then those that a condition or VALUES narrows."""
        bound, rest = set(bound), [*self.values, *self.triples]
        filtered = set().union(*map(_variables, self.conditions))
        while rest:
            rest.sort(key=lambda pattern: self._cost(pattern, bound, filtered))
            bound |= _variables(rest[0])
            yield rest.pop(0)

    def _cost(self, pattern: Any, bound: set[Variable], filtered: set[Variable]) -> tuple[bool, bool, bool, int, bool]:
        names = _variables(pattern)
        path = isinstance(pattern, tuple) and isinstance(pattern[1], PropertyPath)
        values = isinstance(pattern, list)
        apart = bool(bound) and names.isdisjoint(bound)
        return apart, names.isdisjoint(filtered) or bool(bound), not values, len(names - bound), path

    def rows(self, context: QueryContext) -> Iterator[FrozenBindings]:
        """Give the rows that fit, every condition tried as soon as it can be."""
        start = {name: context[name] for name in _variables([*self.values, *self.triples]) if context[name] is not None}
        rows, waiting = [start], list(self.conditions)
        bound = set(start)
        for pattern in self.steps(bound):
            bound |= _variables(pattern)
            ready = [each for each in waiting if _early(each) and _variables(each) <= bound]
            waiting = [each for each in waiting if each not in ready]
            rows = [row for before in rows for row in _fits(context, before, pattern) if _holds(context, row, ready)]
        return (_solution(context, row) for row in rows if _holds(context, row, waiting))


def _conditions(expression: Any) -> list[Any]:
    if isinstance(expression, CompValue) and expression.name == "ConditionalAndExpression":
        return [each for part in (expression.expr, *expression.other) for each in _conditions(part)]
    return [expression]


def _early(condition: Any) -> bool:
    return isinstance(condition, CompValue) and condition.name == "RelationalExpression"


def _patterns(part: CompValue) -> tuple[list[Any], list[Any]]:
    """Flatten joined patterns into triples and VALUES (a list of rows each)."""
    match part.name:
        case "BGP":
            return list(part.triples or []), []
        case "ToMultiSet" if part.p.name == "values":
            return [], [list(part.p.res)]
        case "Join":
            (triples, values), (more_triples, more_values) = _patterns(part.p1), _patterns(part.p2)
            return triples + more_triples, values + more_values
    raise NotImplementedError


def _variables(part: Any) -> set[Variable]:
    if isinstance(part, rdflib.BNode):
        return {cast(Variable, part)}
    if isinstance(part, Variable):
        return {part}
    if isinstance(part, dict):
        return set().union(*map(_variables, [*part.values(), *part.keys()]))
    return set().union(*map(_variables, part)) if isinstance(part, list | tuple) else set()


def _fits(context: QueryContext, row: _Bindings, pattern: Any) -> Iterator[_Bindings]:
    if isinstance(pattern, list):
        for values in pattern:
            known = {name: value for name, value in values.items() if value != "UNDEF"}
            if all(row.get(name, value) == value for name, value in known.items()):
                yield row | known
        return
    asked = tuple(row.get(cast(Variable, term)) if _variables(term) else term for term in pattern)
    assert context.graph is not None
    for found in context.graph.triples(cast(Any, asked)):
        new = {term: value for term, known, value in zip(pattern, asked, found, strict=True) if known is None}
        if all(new[term] == value for term, known, value in zip(pattern, asked, found, strict=True) if known is None):
            yield row | new


def _holds(context: QueryContext, row: _Bindings, conditions: list[Any]) -> bool:
    return not conditions or all(_ebv(each, FrozenBindings(context, row.items())) for each in conditions)


def _solution(context: QueryContext, row: _Bindings) -> FrozenBindings:
    pushed = context.push()
    for name, value in row.items():
        if pushed[name] is None:
            pushed[name] = value
    return pushed.solution()


def _evaluate(context: QueryContext, part: CompValue) -> Iterator[FrozenBindings]:
    if part.name not in ("Filter", "Join", "BGP"):
        raise NotImplementedError
    return _Plan(part).rows(context)


sparql.CUSTOM_EVALS["motags tests"] = _evaluate


class Wikidata(Loopback):
    """Wikidata with these items: the API at `api`, the query service at `query`."""

    def __init__(self, entities: Iterable[Json], port: int = 0) -> None:
        super().__init__(port)
        self.api, self.query = f"{self.url}/w/api.php", f"{self.url}/sparql"
        self._entities = {each["id"]: each for each in entities}
        self._pages = {
            (site, link["title"]): qid
            for qid, each in self._entities.items()
            for site, link in each.get("sitelinks", {}).items()
        }
        self._graph, self._lock = graph(self._entities.values()), threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Answer as the API or as the query service."""
        if request.path == "/sparql":
            return self._select(request)
        if request.path != "/w/api.php":
            return Answer(404, "Not Found", content_type="text/plain")
        query = request.query
        if query.get("format") != "json":
            return Answer(200, "<!DOCTYPE html><pre>MediaWiki API result</pre>", content_type="text/html")
        match query.get("action"):
            case "wbgetentities":
                return self._get_entities(query)
            case "query" if query.get("meta") == "siteinfo":
                return Answer(200, {"batchcomplete": "", "query": {"general": _SITE}})
        return _error("badvalue", f'Unrecognized value for parameter "action": {query.get("action", "")}.')

    def _get_entities(self, query: dict[str, str]) -> Answer:
        lists = {name: _listed(query.get(name, "")) for name in ("ids", "sites", "titles")}
        for name, values in lists.items():
            if len(values) > LIMIT:
                return _too_many(name)
        if not lists["ids"] and not (lists["sites"] and lists["titles"]):
            return _error("param-missing", 'Either provide the Item "ids" or pairs of "sites" and "titles".')
        for qid in lists["ids"]:
            if not re.fullmatch(r"[QP][1-9]\d*", qid, re.IGNORECASE) or int(qid[1:]) > LARGEST_QID:
                return _no_such_entity(qid)
        found = {qid.upper(): self._shown(qid.upper(), query) for qid in lists["ids"]}
        missing = itertools.count(1)
        for site, title in itertools.product(lists["sites"], lists["titles"]):
            if target := self._pages.get((site, title)):
                found[target] = self._shown(target, query)
            else:
                found[f"-{next(missing)}"] = {"site": site, "title": title, "missing": ""}
        return Answer(200, {"entities": found, "success": 1} | _warnings(query))

    def _shown(self, qid: str, query: dict[str, str]) -> Json:
        each, asked = self._entities.get(qid), qid
        if each and "redirect" in each and query.get("redirects", "yes") == "yes":
            qid = each["redirect"]
            each = self._entities.get(qid)
        if each is None or "redirect" in each:
            return {"id": asked, "missing": ""}
        props = _listed(query.get("props", "info|sitelinks|aliases|labels|descriptions|claims|datatype"))
        info = ("pageid", "ns", "title", "lastrevid", "modified") if "info" in props else ()
        shown = {name: each[name] for name in info}
        if props and qid != asked:
            shown["redirects"] = {"from": asked, "to": qid}
        shown |= {"type": each["type"], "id": qid}
        return shown | {name: _filtered(each.get(name, {}), name, query) for name in _PARTS if name in props}

    def _select(self, request: Request) -> Answer:
        query = request.query.get("query", "")
        with self._lock:
            try:
                _refuse_foreign(query)
                found = self._graph.query(query, initNs=_PREFIXES)
                wants_json = request.query.get("format") == "json" or "json" in request.headers.get("accept", "")
                form = "json" if wants_json else "xml"
                body = cast(bytes, found.serialize(format=form)).decode()
            except (ParseBaseException, SPARQLError, ValueError) as error:
                text = f"SPARQL-QUERY: queryStr={query}\nMalformedQueryException: {error}\n"
                return Answer(400, text, content_type="text/plain;charset=utf-8")
        return Answer(200, body, content_type=f"application/sparql-results+{form};charset=utf-8")


_PARTS = ("labels", "descriptions", "aliases", "claims", "sitelinks")
_SITE = {"sitename": "Wikidata", "generator": "MediaWiki 1.39.0", "lang": "en", "wikiid": "wikidatawiki"}
_KNOWN = {"action", "ids", "sites", "titles", "props", "languages", "languagefallback", "normalize", "sitefilter"}
_KNOWN |= {"redirects", "format", "formatversion", "maxlag", "errorformat", "origin", "utf8"}


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(filter(None, text.split("|"))))


def _filtered(part: Json, name: str, query: dict[str, str]) -> Json:
    """Keep what `languages` and `sitefilter` ask for."""
    wanted = _listed(query.get("sitefilter" if name == "sitelinks" else "languages", ""))
    return {key: value for key, value in part.items() if not wanted or name == "claims" or key in wanted}


def _warnings(query: dict[str, str]) -> Json:
    unknown = sorted(set(query) - _KNOWN)
    if not unknown:
        return {}
    text = f"Unrecognized parameter{'s' * (len(unknown) > 1)}: {', '.join(unknown)}."
    return {"warnings": {"main": {"warnings" if query.get("formatversion") == "2" else "*": text}}}


def _error(code: str, info: str, **more: object) -> Answer:
    docref = "See https://www.wikidata.org/w/api.php for API usage."
    error = {"code": code, "info": info, **more, "docref": docref}
    return Answer(200, {"error": error, "servedby": "loopback"}, {"MediaWiki-API-Error": code})


def _too_many(name: str) -> Answer:
    info = f'Too many values supplied for parameter "{name}". The limit is {LIMIT}.'
    return _error("toomanyvalues", info, parameter=name, limit=LIMIT, lowlimit=LIMIT, highlimit=500)


def _no_such_entity(qid: str) -> Answer:
    info = f'Could not find an entity with the ID "{qid}".'
    message = {"name": "wikibase-api-no-such-entity", "parameters": [qid], "html": {"*": info}}
    return _error("no-such-entity", info, id=qid, messages=[message])


def _refuse_foreign(query: str) -> None:
    """Refuse what rdflib would fetch from elsewhere, and prefixes that nothing declares."""
    text = re.sub(r"<[^<>\s]*>|\"[^\"]*\"|'[^']*'", " ", query)
    if re.search(r"\bSERVICE\b", text, re.IGNORECASE):
        raise ValueError("SERVICE is not answered by this server")
    declared = {name.lower() for name in re.findall(r"\bPREFIX\s+([\w-]*):", text, re.IGNORECASE)}
    unknown = set(re.findall(r"(?<![\w?$])([A-Za-z][\w-]*):", text)) - set(_PREFIXES)
    if undeclared := {name for name in unknown if name.lower() not in declared}:
        raise ValueError(f"no such prefix: {', '.join(sorted(undeclared))}")

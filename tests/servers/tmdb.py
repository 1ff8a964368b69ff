"""TMDB's API v3 on loopback: real films in, answers in the shape of the recordings out."""

import datetime
import gzip
import hashlib
import json
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

Json = dict[str, Any]

REAL = Path(__file__).parents[3] / "shared" / "real"
BEARER = "loopback-bearer"
PAGE_SIZE = 20
LAST_PAGE = 500


@dataclass(frozen=True)
class Request:
    """One request, its query (and form) as pairs in order, names of headers in lower case."""

    method: str
    path: str
    pairs: list[tuple[str, str]]
    headers: dict[str, str]

    @property
    def query(self) -> dict[str, str]:
        return dict(self.pairs)


@dataclass(frozen=True)
class Answer:
    """One answer; a body of None sends none."""

    status: int
    body: object
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"

    def encoded(self) -> bytes:
        """Give the body's bytes: text as it is, anything else as JSON."""
        if self.body is None:
            return b""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)).encode()


class Loopback:
    """A server on loopback whose answers `answer` makes: a context manager, its threads are daemons."""

    def __init__(self, port: int = 0) -> None:
        self.seen: list[str] = []
        self._server = _Server(port, self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        raise NotImplementedError


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, answering: Loopback) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answering = answering


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        answering = cast(_Server, self.server).answering
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        answering.seen.append(self.path)
        parts = urlsplit(self.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True) + parse_qsl(form, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(answering.answer(Request(self.command, unquote(parts.path), pairs, headers)))

    def do_POST(self) -> None:
        self.do_GET()

    def _send(self, answer: Answer) -> None:
        body, zipped = answer.encoded(), "gzip" in self.headers.get("Accept-Encoding", "")
        body = gzip.compress(body, 1) if zipped and body else body
        self.send_response(answer.status)
        for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
            self.send_header(name, value)
        if zipped and body:
            self.send_header("Content-Encoding", "gzip")
        if answer.status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Vary", "Accept-Encoding")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        pass


def film_qid(tmdb_id: int) -> str:
    """Make up the Wikidata item of a real film: the same one for both servers."""
    return f"Q{200_000_000 + tmdb_id}"


def real_films() -> list[Json]:
    """Read the 5,595 real films; those of unknown language become English, as nearly all of them are."""
    with gzip.open(REAL / "tmdb.jsonl.gz", "rt", encoding="utf-8") as lines:
        films = [json.loads(line) for line in lines]
    return [
        film | {"original_language": film["original_language"] or "en", "wikidata_id": film_qid(film["id"])}
        for film in films
    ]


def small(n: int) -> list[Json]:
    """Give the n real films with the most votes."""
    return sorted(real_films(), key=lambda film: -film["vote_count"])[:n]


@cache
def recorded() -> dict[tuple[str, frozenset[tuple[str, str]]], Answer]:
    """Read the recorded answers of the live API, by path and query; none where the recordings are absent."""
    mappings = [json.loads(file.read_bytes()) for file in sorted(REAL.glob("tmdb-recorded/tmdblib-wiremock/*.json"))]
    return {_recorded_key(each["Request"]): _recorded_answer(each["Response"]) for each in mappings}


def _recorded_key(request: Json) -> tuple[str, frozenset[tuple[str, str]]]:
    query = {parameter["Name"]: parameter["Matchers"][0]["Pattern"] for parameter in request.get("Params") or []}
    return request["Path"]["Matchers"][0]["Pattern"], frozenset(query.items())


def _recorded_answer(response: Json) -> Answer:
    return Answer(response["StatusCode"], response["BodyAsJson"])


@cache
def document() -> Json:
    """Read TMDB's OpenAPI document; without paths where it is absent."""
    file = REAL / "tmdb-recorded" / "openapi" / "tmdb-api.json"
    return json.loads(file.read_bytes()) if file.exists() else {"paths": {}}


def template(path: str) -> str | None:
    """Give the document's path template of a path, the one with the fewest variables."""
    parts = path.split("/")
    fitting = [each for each in document()["paths"] if _fits(each.split("/"), parts)]
    return min(fitting, key=lambda each: each.count("{"), default=None)


def _fits(template_parts: list[str], parts: list[str]) -> bool:
    return len(template_parts) == len(parts) and all(
        ours == theirs or (ours.startswith("{") and theirs) for ours, theirs in zip(template_parts, parts, strict=True)
    )


def objections(request: Request) -> Iterator[str]:
    """Say what in a request the OpenAPI document does not allow, one sentence each."""
    if "api_key" in request.query:
        yield f"{request.path} carries api_key in its address: send the token as a Bearer header."
    if not document()["paths"]:
        return
    route = template(request.path)
    operation = document()["paths"].get(route, {}).get(request.method.lower())
    if route is None or operation is None:
        yield f"{request.method} {request.path} is not in the OpenAPI document."
        return
    known = {each["name"]: each for each in operation.get("parameters", []) if each["in"] in ("query", "path")}
    yield from _parameter_objections(request, known, dict(zip(route.split("/"), request.path.split("/"), strict=True)))


def _parameter_objections(request: Request, known: dict[str, Json], path: dict[str, str]) -> Iterator[str]:
    pairs = [(name, value) for name, value in request.pairs if name != "api_key"]
    pairs += [(part[1:-1], value) for part, value in path.items() if part.startswith("{")]
    names = [name for name, _ in pairs]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{request.path} names the parameter {name} more than once."
    for name, parameter in known.items():
        if parameter.get("required") and name not in names:
            yield f"{request.path} lacks the parameter {name}."
    for name, text in pairs:
        if name not in known:
            yield f"{request.path} has no parameter {name}."
        else:
            yield from _value_objections(request.path, name, text, known[name]["schema"])


def _value_objections(path: str, name: str, text: str, schema: Json) -> Iterator[str]:
    checker = Draft202012Validator(schema, format_checker=FormatChecker(["date"]))
    for error in checker.iter_errors(_typed(text, schema.get("type"))):
        yield f"{path}: the parameter {name} is wrong: {error.message}."
    if name == "append_to_response":
        for each in text.split(","):
            if template(f"{path}/{each}") is None:
                yield f"{path}: append_to_response names {each!r}, which is no part of a film."
        if len(text.split(",")) > 20:
            yield f"{path}: append_to_response names more than 20 parts."


def _typed(text: str, kind: str | None) -> object:
    if kind in ("integer", "number") and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


_COUNTRY = {"fr": "FR", "es": "ES", "zh": "CN", "it": "IT", "hi": "IN", "ja": "JP", "da": "DK", "he": "IL"}
_COUNTRY |= {"de": "DE", "ko": "KR", "fa": "IR", "el": "GR", "no": "NO", "nl": "NL", "cn": "HK"}


def origin_country(film: Json) -> list[str]:
    """Give a film's countries: its own, else the one its language suggests."""
    return film.get("origin_country") or [_COUNTRY.get(film["original_language"], "US")]


def _image_path(film: Json, kind: str) -> str | None:
    digest = hashlib.sha256(f"{kind} {film['id']}".encode()).hexdigest()
    return None if digest[0] == "0" else f"/{digest[:27]}.jpg"


def summary(film: Json) -> Json:
    """Give a film as lists of films (discover, search, find) show it."""
    return {
        "adult": film.get("adult", False),
        "backdrop_path": _image_path(film, "backdrop"),
        "genre_ids": [genre["id"] for genre in film["genres"]],
        "id": film["id"],
        "title": film["title"],
        "original_language": film["original_language"],
        "original_title": film["original_title"],
        "overview": film["overview"],
        "popularity": film["popularity"],
        "poster_path": _image_path(film, "poster"),
        "release_date": film["release_date"],
        "softcore": False,
        "video": False,
        "vote_average": film["vote_average"],
        "vote_count": film["vote_count"],
    }


def detail(film: Json) -> Json:
    """Give a film as its own address shows it, without appended parts."""
    shared = {name: value for name, value in summary(film).items() if name != "genre_ids"}
    return shared | {
        "belongs_to_collection": None,
        "budget": 0,
        "genres": film["genres"],
        "homepage": "",
        "imdb_id": film["imdb_id"],
        "origin_country": origin_country(film),
        "production_companies": [_company(name) for name in film.get("companies", [])],
        "production_countries": [{"iso_3166_1": code, "name": code} for code in origin_country(film)],
        "revenue": 0,
        "runtime": film["runtime"],
        "spoken_languages": [],
        "status": "Released",
        "tagline": film["tagline"],
    }


def _company(name: str) -> Json:
    return {"id": _number(name), "logo_path": None, "name": name, "origin_country": ""}


def _number(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)


def _credits(film: Json) -> Json:
    """Give the people of `cast` and of `crew`, pairs of a name and a job."""
    cast = [
        _person(name) | {"cast_id": place, "character": "", "order": place}
        for place, name in enumerate(film.get("cast", []))
    ]
    return {"cast": cast, "crew": [_person(name) | {"job": job} for name, job in film.get("crew", [])]}


def _person(name: str) -> Json:
    key = _number(name)
    return {"adult": False, "gender": 0, "id": key, "name": name, "original_name": name, "profile_path": None}


def _no_page(_: Json) -> Json:
    return {"page": 1, "results": [], "total_pages": 1, "total_results": 0}


def _external_ids(film: Json) -> Json:
    none = dict.fromkeys(("facebook_id", "instagram_id", "twitter_id"))
    return {"imdb_id": film["imdb_id"], "wikidata_id": film.get("wikidata_id"), **none}


def _release_dates(film: Json) -> Json:
    date = {"certification": "", "descriptors": [], "iso_639_1": "", "note": "", "type": 3}
    date["release_date"] = f"{film['release_date']}T00:00:00.000Z"
    return {"results": [{"iso_3166_1": code, "release_dates": [date]} for code in origin_country(film)]}


PARTS: dict[str, Callable[[Json], Json]] = {
    "alternative_titles": lambda _: {"titles": []},
    "changes": lambda _: {"changes": []},
    "credits": _credits,
    "external_ids": _external_ids,
    "images": lambda _: {"backdrops": [], "logos": [], "posters": []},
    "keywords": lambda film: {"keywords": film["keywords"]},
    "lists": _no_page,
    "recommendations": _no_page,
    "release_dates": _release_dates,
    "reviews": _no_page,
    "similar": _no_page,
    "translations": lambda _: {"translations": []},
    "videos": lambda _: {"results": []},
    "watch/providers": lambda _: {"results": {}},
}

_FILTERS: dict[str, Callable[[Json, str], bool]] = {
    "primary_release_year": lambda film, year: film["release_date"][:4] == year,
    "year": lambda film, year: film["release_date"][:4] == year,
    "primary_release_date.gte": lambda film, date: film["release_date"] >= date,
    "primary_release_date.lte": lambda film, date: "" < film["release_date"] <= date,
    "vote_count.gte": lambda film, votes: film["vote_count"] >= float(votes),
    "vote_count.lte": lambda film, votes: film["vote_count"] <= float(votes),
    "vote_average.gte": lambda film, vote: film["vote_average"] >= float(vote),
    "with_runtime.gte": lambda film, minutes: film["runtime"] >= int(minutes),
    "with_original_language": lambda film, languages: film["original_language"] in languages.split("|"),
    "with_origin_country": lambda film, codes: not set(origin_country(film)).isdisjoint(codes.split("|")),
    "with_genres": lambda film, ids: _has(film["genres"], ids),
    "with_keywords": lambda film, ids: _has(film["keywords"], ids),
    "without_genres": lambda film, ids: not _has(film["genres"], ids),
}
_NO_FILTERS = {"include_adult", "include_video", "language", "page", "sort_by"}


def _has(tags: list[Json], ids: str) -> bool:
    held = {str(tag["id"]) for tag in tags}
    return not held.isdisjoint(ids.split("|")) if "|" in ids else held.issuperset(ids.split(","))


def _refused(sentences: list[str]) -> Answer:
    return Answer(400, {"success": False, "status_code": 5, "status_message": " ".join(sentences)})


class Tmdb(Loopback):
    """TMDB with these films; `extra` lays fields over a film's own address (a field of `...` is left out)."""

    # status code, and a wording for machines without the recorded bodies
    _ERRORS: ClassVar[dict[int, tuple[str, int, str]]] = {
        400: ("error-status-400.json", 22, "Invalid page."),
        401: ("error-status-401.json", 7, "Invalid API key."),
        404: ("error-status-response.json", 34, "Not found."),
    }

    def __init__(
        self, films: Iterable[Json], token: str = BEARER, extra: dict[int, Json] | None = None, port: int = 0
    ) -> None:
        super().__init__(port)
        self.api = f"{self.url}/3"
        self.violations: list[str] = []
        self.bare_401 = False  # true: the body of a 401 has no `success`, as it is now and then
        self._films = {film["id"]: film for film in sorted(films, key=lambda film: film["id"])}
        self._token, self._extra = token, extra or {}

    def answer(self, request: Request) -> Answer:
        """Answer as the live API does; what the OpenAPI document forbids is noted and refused."""
        wrong = list(objections(request))
        self.violations += wrong
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return self._error(401)
        if wrong:
            return _refused(wrong)
        answer = self._found(request)
        etag = f'W/"{hashlib.md5(answer.encoded(), usedforsecurity=False).hexdigest()}"'
        if answer.status == 200 and request.headers.get("if-none-match") == etag:
            return Answer(304, None, {"ETag": etag})
        return Answer(answer.status, answer.body, {"ETag": etag, "Cache-Control": "public, max-age=600"})

    def _error(self, status: int) -> Answer:
        name, code, message = self._ERRORS[status]
        file = REAL / "tmdb-recorded" / "swift-tmdb-json" / name
        own = {"success": False, "status_code": code, "status_message": message}
        body = json.loads(file.read_bytes()) if file.exists() else own
        if status == 401 and self.bare_401:
            del body["success"]
        return Answer(status, body)

    def _found(self, request: Request) -> Answer:
        match request.path.removeprefix("/3/").split("/", 2):
            case ["discover", "movie"]:
                return self._discover(request)
            case ["search", "movie"]:
                return self._search(request)
            case ["movie", number, *part] if number.isdigit():
                return self._film(int(number), part, request)
            case ["find", key]:
                return self._recorded(request.path, request.query) or self._find(key, request.query)
            case ["genre", "movie", "list"] if not recorded():
                genres = {genre["id"]: genre for film in self._films.values() for genre in film["genres"]}
                return Answer(200, {"genres": list(genres.values())})
        return self._recorded(request.path, request.query) or self._error(404)

    def _recorded(self, path: str, query: dict[str, str]) -> Answer | None:
        asked = {name: value for name, value in query.items() if (name, value) != ("language", "en-US")}
        return recorded().get((path, frozenset(asked.items())))

    def _film(self, number: int, part: list[str], request: Request) -> Answer:
        film, language = self._films.get(number), {"language": request.query.get("language", "en-US")}
        if part:
            composed = Answer(200, {"id": number} | PARTS[part[0]](film)) if film and part[0] in PARTS else None
            return self._recorded(request.path, request.query) or composed or self._error(404)
        answer = self._recorded(request.path, language) or (Answer(200, detail(film)) if film else self._error(404))
        if answer.status != 200 or not isinstance(answer.body, dict):
            return answer
        body = dict(answer.body)
        for name in filter(None, request.query.get("append_to_response", "").split(",")):
            body[name] = self._part(film or body | {"keywords": []}, name, language)
        body |= self._extra.get(number, {})
        return Answer(200, {name: value for name, value in body.items() if value is not ...})

    def _part(self, film: Json, name: str, language: dict[str, str]) -> Json:
        answer = self._recorded(f"/3/movie/{film['id']}/{name}", language)
        if answer is None or not isinstance(answer.body, dict):
            return PARTS.get(name, lambda _: {})(film)
        return {key: value for key, value in answer.body.items() if key != "id"}

    def _discover(self, request: Request) -> Answer:
        chosen, query = list(self._films.values()), request.query
        for name, value in query.items():
            if name in _FILTERS:
                chosen = [film for film in chosen if _FILTERS[name](film, value)]
            elif name not in _NO_FILTERS:
                self.violations.append(f"{request.path}: the filter {name} is TMDB's, but this server lacks it.")
                return _refused(self.violations[-1:])
        if query.get("include_adult") != "true":
            chosen = [film for film in chosen if not film.get("adult")]
        by, _, direction = query.get("sort_by", "popularity.desc").partition(".")
        by = {"primary_release_date": "release_date"}.get(by, by)
        chosen.sort(key=lambda film: film.get(by, 0), reverse=direction == "desc")
        return self._page(chosen, query)

    def _search(self, request: Request) -> Answer:
        words, query = request.query.get("query", "").casefold().split(), request.query
        year = query.get("year") or query.get("primary_release_year") or ""
        chosen = [
            film
            for film in self._films.values()
            if film["release_date"].startswith(year) and all(word in film["title"].casefold() for word in words)
        ]
        return self._page(sorted(chosen, key=lambda film: -film["popularity"]), query)

    def _page(self, films: list[Json], query: dict[str, str]) -> Answer:
        number = query.get("page", "1")
        if not number.isdecimal() or not 1 <= (page := int(number)) <= LAST_PAGE:
            return self._error(400)
        results = [summary(film) for film in films[PAGE_SIZE * (page - 1) : PAGE_SIZE * page]]
        # the recordings cap neither number (58,326 pages), and count one page where nothing is found
        pages = max(1, math.ceil(len(films) / PAGE_SIZE))
        return Answer(200, {"page": page, "results": results, "total_pages": pages, "total_results": len(films)})

    def _find(self, key: str, query: dict[str, str]) -> Answer:
        name = query.get("external_source", "")
        found = [film for film in self._films.values() if _external_ids(film).get(name) == key]
        empty: Json = {f"{kind}_results": [] for kind in ("person", "tv", "tv_episode", "tv_season")}
        return Answer(200, {"movie_results": [summary(film) | {"media_type": "movie"} for film in found], **empty})


_GENRES = {"Action": 28, "Adventure": 12, "Comedy": 35, "Crime": 80, "Drama": 18, "Horror": 27, "Mystery": 9648}
_GENRES |= {"Romance": 10749, "Science Fiction": 878, "Thriller": 53, "War": 10752, "Family": 10751}
_KEYWORDS = ["amnesia", "lighthouse", "robot", "revenge", "small town", "heist", "sea voyage", "first love", "trial"]
_KEYWORDS += ["haunted house", "mountain", "chess", "brothers", "train", "smuggling", "time travel", "school"]


def _own(number: int, title: str, year: int, genres: str, keywords: str, overview: str, **other: object) -> Json:
    date = datetime.date(year, number % 12 + 1, number % 28 + 1).isoformat()
    return {
        "id": 9_000_000 + number,
        "imdb_id": f"tt{99_000_000 + number}",
        "wikidata_id": film_qid(9_000_000 + number),
        "title": title,
        "original_title": title,
        "original_language": "en",
        "release_date": date,
        "overview": overview,
        "tagline": f"{title.rsplit(maxsplit=1)[-1]} never forgets.",
        "genres": [{"id": _GENRES[name], "name": name} for name in genres.split(", ")],
        "keywords": [
            {"id": 800_000 + _KEYWORDS.index(name), "name": name} for name in keywords.split(", ") if name in _KEYWORDS
        ],
        "popularity": 40.5 - number,
        "vote_count": 1300 - 100 * number,
        "vote_average": 5.5 + number / 4,
        "runtime": 85 + number,
    } | other


OWN: list[Json] = [
    _own(
        1,
        "The Keeper of Gull Rock",
        1994,
        "Drama, Mystery",
        "lighthouse, amnesia, small town",
        "A lighthouse keeper finds a woman on the shore who has forgotten her name, and a village that knows it.",
    ),
    _own(
        2,
        "Copper Heart",
        1994,
        "Science Fiction, Drama",
        "robot, first love, school",
        "A discarded robot is repaired by two pupils and learns what a promise weighs.",
    ),
    _own(
        3,
        "Nine Minutes to Basel",
        1995,
        "Crime, Thriller",
        "heist, train, brothers",
        "Two brothers plan to empty a mail coach between two stations, with nine minutes to do it.",
    ),
    _own(
        4,
        "Salt and Thunder",
        1994,
        "Adventure, Action",
        "sea voyage, smuggling, revenge",
        "A smuggler sails once more through the straits to settle an account with her old captain.",
    ),
    _own(
        5,
        "The House on Tiller Street",
        1996,
        "Horror, Mystery",
        "haunted house, small town",
        "A surveyor is sent to measure a house whose rooms are never the same size twice.",
    ),
    _own(
        6,
        "Zugzwang am Fluss",
        1995,
        "Drama",
        "chess, brothers, trial",
        "An old chess master is called as a witness against the friend who taught him to play.",
        original_language="de",
    ),
    _own(
        7,
        "La Petite Avalanche",
        1996,
        "Comedy, Romance",
        "mountain, first love",
        "A ski instructor who cannot ski hides it from a whole village and from one guest.",
        original_language="fr",
    ),
    _own(
        8,
        "Yesterday Is Closed",
        1994,
        "Science Fiction, Comedy",
        "time travel, small town",
        "The clerk of a travel office for the past refuses to sell himself a ticket.",
    ),
    _own(
        9,
        "A Jury of Snow",
        1995,
        "Crime, Drama",
        "trial, mountain, revenge",
        "Snowed in with the accused, twelve jurors hear a confession that no one made.",
    ),
    _own(
        10,
        "The Last Ferry Home",
        1996,
        "War, Drama",
        "sea voyage, brothers",
        "On the last night of a war a ferryman has room for one of two brothers.",
        imdb_id=None,
    ),
    _own(
        11, "Mittens Goes to School", 1994, "Family, Comedy", "school", "", tagline="", origin_country=["GB"], runtime=0
    ),
    _own(
        12,
        "After Midnight in Room Six",
        1995,
        "Romance",
        "train",
        "Two strangers share a sleeping car and a secret.",
        adult=True,
    ),
]

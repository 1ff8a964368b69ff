"""What the page's addresses do: show the queue or a film, keep a decision, lead to the next film."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode

import anyio
from fastapi import Depends, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from motags.errors import MotagsError
from motags.evidence.picture_files import Unseen
from motags.web import exports, label_studio
from motags.web.decisions import reviewer_name, tag_name
from motags.web.pages import Pages
from motags.web.posters import Posters
from motags.web.scoring import Scorer
from motags.web.search import MOST_LETTERS
from motags.web.store import Filter, ReviewStore

PAGE = 25  # films on a page of the queue
OPEN_SECONDS = 15 * 60.0  # for which a film that one reviewer has open is not offered to another
LOOKAHEAD = 20  # films of the queue among which one is sought that nobody has open
YEAR = 365 * 86_400
PAST_TENSE = {"accept": "accepted", "reject": "rejected", "add": "added", "clear": "left open", "done": "done"}

DOWNLOADS: dict[str, tuple[str, Callable[[ReviewStore], Iterator[str]]]] = {
    "catalogue.jsonl": ("application/jsonl", exports.catalogue),
    "label-studio.json": ("application/json", label_studio.tasks),
    "tags.csv": ("text/csv", exports.table),
}

Id = Annotated[str, Field(min_length=1, max_length=1000)]
TagName = Annotated[str, Query(max_length=1000)]
FilmId = Annotated[str, Query(alias="id", min_length=1, max_length=1000)]
PageNumber = Annotated[int, Query(ge=1, le=10**6)]


class Body(BaseModel):
    """What the page sends: an unknown field or another type is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Act(Body):
    """A request that the page names, so that it may send it again."""

    act: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,80}$")]


class OnTag(Body):
    """A decision on a tag."""

    kind: Literal["accept", "reject", "add", "clear"]
    tag: Id


class OnTags(Act):
    """Decisions on tags of a film, made at once."""

    film: Id
    decisions: Annotated[list[OnTag], Field(min_length=1, max_length=500)]


class Leaving(Act):
    """Done with a film, or skip it."""

    film: Id
    kind: Literal["done", "skip"]


def chosen(
    show: Literal["open", "skipped", "mine", "others", "conflicts", "all"] = "open",
    tag: Annotated[str, Query(max_length=1000)] = "",
    sure: Literal["any", "high", "middle", "low"] = "any",
    q: Annotated[str, Query(max_length=MOST_LETTERS)] = "",
) -> Filter:
    """The filter that an address names."""
    return Filter(show, tag, sure, q.strip())


Chosen = Annotated[Filter, Depends(chosen)]


class NamelessError(Exception):
    """Nobody said yet who reviews."""


class Review:
    """A review's addresses.

    Args:
        reviewer: who reviews until the page is told another name; None asks for one first.
        cookie: the name of the cookie that keeps a reviewer's name.
    """

    def __init__(self, scorer: Scorer, posters: Posters, reviewer: str | None, cookie: str) -> None:
        self.store, self.scorer, self.posters, self.reviewer, self.cookie = (
            scorer.store, scorer, posters, reviewer, cookie
        )  # fmt: skip
        self.pages = Pages()
        self._open_films: dict[str, tuple[str, float]] = {}
        self._explaining, self._drawing = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)

    def queue(self, request: Request, chosen: Chosen, page: PageNumber = 1) -> Response:
        """The queue, where a review begins."""
        me, store = self._me(request), self.store
        films = store.queue(chosen, me, PAGE, PAGE * (page - 1))
        ids, count = [film["id"] for film in films], store.count(chosen, me)
        return self.pages.page(
            "queue",
            films=[film | {"address": _film_address(film["id"], chosen)} for film in map(dict, films)],
            predicted=store.predicted(ids),
            people=store.people(ids, chosen.q),
            done=store.history.done_by(ids),
            start=_film_address(self._free(ids, me), chosen) if ids else "",
            count=count,
            everywhere=_queue_address(Filter("all", q=chosen.q)),
            page=page,
            pages=[f"/?{urlencode(chosen.query(page=str(n)))}" for n in _neighbour_pages(page, -(-count // PAGE))],
            tags=store.predicted_tags(),
            reviewers=store.history.by_reviewer(),
            **self._page_values(me, chosen),
        )

    def film(self, request: Request, film_id: FilmId, chosen: Chosen) -> Response:
        """A film with its tags, to decide on."""
        me = self._me(request)
        self.scorer.need(self._film(film_id))
        film = self._film(film_id)
        self._open_films[film_id] = (me, time.monotonic())
        poster = f"/poster?{urlencode({'id': film_id})}" if self.posters.may_show(film) else ""
        about = {"poster": poster, "record": json.loads(film["record"])}
        return self.pages.page("film", **(self._tags(film, me) | self._page_values(me, chosen) | about))

    async def poster(self, request: Request, film_id: FilmId) -> Response:
        """A film's poster, drawn anew. One is drawn at a time, and nothing else waits for it."""
        self._me(request)
        film = await anyio.to_thread.run_sync(self._film, film_id)
        seen = request.headers.get("if-none-match", "")
        return await anyio.to_thread.run_sync(self._poster, film, seen, limiter=self._drawing)

    def _poster(self, film: sqlite3.Row, seen: str) -> Response:
        try:
            poster = self.posters.poster(film)
            headers = {"ETag": poster.etag, "Cache-Control": "private, no-cache"}  # asked for anew each time
            if poster.etag in [etag.strip().removeprefix("W/") for etag in seen.split(",")]:
                return Response(status_code=304, headers=headers)
            return Response(poster.jpeg(), headers=headers, media_type="image/jpeg")
        except Unseen as error:
            raise HTTPException(404, f"this film's poster can't be shown: {error.reason}") from None

    def decide(self, request: Request, body: OnTags) -> dict[str, str]:
        """Keep decisions on tags; give the film's tags as they are then."""
        me, film = self._me(request), self._film(body.film)
        tags_of_film = {row.tag for row in self.store.rows(film)}  # whatever they are called
        names = [row.tag if row.tag in tags_of_film else _checked_tag(row.tag) for row in body.decisions]
        decisions = [(row.kind, name) for row, name in zip(body.decisions, names, strict=True)]
        self.store.history.keep(body.act, me, body.film, decisions, film["version"] or "")
        values = self._tags(film, me)
        outcome = f"{len(names)} tags kept" if len(names) > 1 else f"{names[0]} {PAST_TENSE[body.decisions[0].kind]}"
        return {"html": self.pages.part("tags", **values), "said": f"{outcome}. {values['left']} left."}

    def leave(self, request: Request, body: Leaving, chosen: Chosen) -> dict[str, str]:
        """Done with a film, or skip it: where to go next."""
        me, film = self._me(request), self._film(body.film)
        ids = self.store.after(body.film, chosen, me, LOOKAHEAD)
        self.store.history.keep(body.act, me, body.film, [(body.kind, None)], film["version"] or "")
        self._open_films.pop(body.film, None)
        message = f"{film['title']}: {'done' if body.kind == 'done' else 'skipped'}."
        return {"next": _film_address(self._free(ids, me), chosen) if ids else _queue_address(chosen), "said": message}

    def undo(self, request: Request, body: Act, chosen: Chosen) -> dict[str, str]:
        """Take back what the reviewer did last: where that was."""
        decisions = self.store.history.undo(body.act, self._me(request), self.scorer.model.version_)
        if not decisions:
            return {"next": "", "said": "Nothing to undo."}
        subject = decisions[0]["tag"] if len(decisions) == 1 else f"{len(decisions)} tags"
        return {
            "next": _film_address(decisions[0]["film"], chosen),
            "said": f"Undone: {subject or decisions[0]['kind']}.",
        }

    async def why(self, request: Request, film_id: FilmId, tag: TagName) -> dict[str, str]:
        """Why a film has a score for a tag. One explanation is made at a time, and nothing else waits for it."""
        self._me(request)
        film = await anyio.to_thread.run_sync(self._film, film_id)
        if not self.scorer.knows(tag):
            raise HTTPException(404, "the model has no such tag")
        if film["known"] == 0:
            raise HTTPException(404, "nothing that the model reads is known of this film")
        explained = partial(self.scorer.why, film_id, tag)
        reason = await anyio.to_thread.run_sync(explained, limiter=self._explaining)
        return {"html": self.pages.part("why", tag=tag, reason=reason), "text": self.pages.part("text", reason=reason)}

    def tags(self, request: Request) -> list[dict[str, str]]:
        """All tags, to add one."""
        self._me(request)
        return [dict(tag) for tag in self.store.tags()]

    def download(self, name: str) -> Response:
        """The review's result as a file."""
        if name not in DOWNLOADS:
            raise HTTPException(404, "there is no such file")
        kind, lines = DOWNLOADS[name]
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(lines(self.store), media_type=kind, headers=headers)

    def ask_name(self, request: Request) -> Response:
        """Ask who reviews."""
        name = unquote(request.cookies.get(self.cookie, "")) or self.reviewer or ""
        return self.pages.page("reviewer", name=name, wrong="")

    async def take_name(self, request: Request) -> Response:
        """Remember who reviews."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        given = form.get("name", [""])[0]
        try:
            name = reviewer_name(given)
        except MotagsError as error:
            return self.pages.page("reviewer", 422, name="", wrong=str(error))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, quote(name), max_age=YEAR, httponly=True, samesite="strict")
        return answer

    def _me(self, request: Request) -> str:
        try:
            return reviewer_name(unquote(request.cookies.get(self.cookie, "")) or self.reviewer or "")
        except MotagsError:
            raise NamelessError from None

    def _film(self, film: str) -> sqlite3.Row:
        if not (found := self.store.film(film)):
            raise HTTPException(404, "there is no such film in this catalogue")
        return found

    def _free(self, films: Sequence[str], me: str) -> str:
        """The first film that no other reviewer has open, or the first of all."""
        now = time.monotonic()
        for film, (_, since) in list(self._open_films.items()):  # other threads add to it meanwhile
            if now - since >= OPEN_SECONDS:
                self._open_films.pop(film, None)
        return next((film for film in films if self._open_films.get(film, (me,))[0] == me), films[0])

    def _tags(self, film: sqlite3.Row, me: str) -> dict[str, Any]:
        rows = self.store.rows(film)
        undecided = sum(row.is_undecided_by(me) for row in rows)
        others = [name for name in self.store.history.done_by([film["id"]])[film["id"]] if name != me]
        return {"rows": rows, "me": me, "left": undecided, "others": others, "film": film, "knows": self.scorer.knows}

    def _page_values(self, me: str, chosen: Filter) -> dict[str, Any]:
        total, done = self.store.progress()
        waiting = self.store.unscored_films(self.scorer.model.version_)
        values = {"total": total, "done_films": done, "waiting": waiting, "chosen": chosen, "me": me}
        return values | {"back": _queue_address(chosen), "query": urlencode(chosen.query())}


def _checked_tag(tag: str) -> str:
    try:
        return tag_name(tag)
    except MotagsError as error:
        raise HTTPException(422, str(error)) from None


def _film_address(film: str, chosen: Filter) -> str:
    return f"/film?{urlencode(chosen.query(id=film))}"


def _queue_address(chosen: Filter) -> str:
    return f"/?{urlencode(chosen.query())}".rstrip("?")


def _neighbour_pages(page: int, pages: int) -> list[int]:
    return [n for n in (page - 1, page + 1) if 1 <= n <= pages]

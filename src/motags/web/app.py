"""The page as a program that answers requests."""

import sqlite3
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from motags.web.guard import Guard
from motags.web.pages import Files
from motags.web.posters import Posters
from motags.web.routes import NamelessError, Review
from motags.web.scoring import Scorer

Routes = dict[str, Callable[..., Any]]

MOST_BYTES = 2**16  # of a body
NOT_THE_FORM = "the request is not of the form that this address takes"


def make_app(
    scorer: Scorer, posters: Posters, reviewer: str | None, port: int, hosts: frozenset[str] | None, token: str | None
) -> FastAPI:
    """The program.

    Args:
        reviewer: who reviews until the page is told another name; None asks for one first.
        port: tells its cookies from those of another review on the same host.
        hosts, token: see `Guard`.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, max_body_size=MOST_BYTES)
    review = Review(scorer, posters, reviewer, f"motags_reviewer_{port}")
    pages: Routes = {"/": review.queue, "/film": review.film, "/poster": review.poster}
    pages["/export/{name}"] = review.download
    reads: Routes = {"/why": review.why, "/tags": review.tags}
    writes: Routes = {"/decide": review.decide, "/leave": review.leave, "/undo": review.undo}
    for path, show in pages.items():
        app.add_api_route(path, show, response_model=None)
    for path, answer in reads.items():
        app.add_api_route(path, answer)
    for path, keep in writes.items():
        app.add_api_route(path, keep, methods=["POST"])
    app.add_api_route("/reviewer", review.ask_name, response_model=None)
    app.add_api_route("/reviewer", review.take_name, methods=["POST"], response_model=None)
    app.mount("/static", Files())
    app.add_exception_handler(RequestValidationError, _not_the_form)
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_exception_handler(NamelessError, _ask_name)
    app.add_exception_handler(sqlite3.DatabaseError, _unavailable)
    app.add_middleware(Guard, hosts=hosts, token=token, cookie=f"motags_token_{port}")
    return app


def _not_the_form(_: Request, __: Exception) -> Response:
    """The answer names no value of the request: an echo could carry a script or a secret."""
    return JSONResponse({"error": NOT_THE_FORM}, 422)


def _refused(request: Request, error: Any) -> Response:
    if error.status_code == 400:  # the body could not even be parsed
        return _not_the_form(request, error)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _unavailable(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the file of decisions can't be used ({error})"}, 503)


def _ask_name(request: Request, _: Exception) -> Response:
    if request.method == "GET":
        return RedirectResponse("/reviewer", 303)
    return JSONResponse({"error": "say first who you are: open /reviewer"}, 403)

"""Polite HTTP: one connection a site, a rate that is never passed, bounded tries, waits as told."""

import json
import logging
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

import requests
import urllib3
from pydantic import Field
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from motags.errors import MotagsError
from motags.params import Params

MAX_IN_A_ROW = 10  # requests that failed one after the other: the site is down, not a film broken

log = logging.getLogger(__name__)
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)  # it would log headers that it can't read


class FetchParams(Params):
    """Section `crawl.fetch` of params.yaml."""

    tries: Annotated[int, Field(ge=1, le=20)]
    backoff: Annotated[float, Field(ge=0)]
    max_wait: Annotated[float, Field(ge=0)]
    timeout: Annotated[float, Field(gt=0)]
    max_body_mb: Annotated[float, Field(gt=0, le=256)]


class Failed(MotagsError):  # noqa: N818, what became of a request
    """A request failed for good; others may still succeed."""


class Gone(Failed):
    """What was asked for is not there."""


class Stuck(Failed):
    """A site continues an answer without end; asking for less at once may help, asking again does not."""


class TryAgain(Exception):  # noqa: N818, it is a request, not an error
    """An answer that may be better next time, and the seconds to wait before it, where the site says so."""

    def __init__(self, reason: str, after: float | None = None, last: type[MotagsError] = Failed) -> None:
        super().__init__(reason)
        self.after = after
        self.last = last


class Site(requests.Session):
    """A session with one site. Every request goes through `request`, also those of a library that is given it.

    Args:
        name: how messages call the site.
        rate: requests a second at most, tries included.
        contact: address of the operator, for the User-Agent.
        token: sent as a Bearer token; it is cut out of everything that comes back.
        token_variable: the environment variable that holds it, for messages.
    """

    def __init__(
        self, name: str, rate: float, policy: FetchParams, contact: str, token: str = "", token_variable: str = ""
    ) -> None:
        super().__init__()
        self.name, self.rate, self.policy = name, rate, policy
        self.requests_made = 0
        self.bytes_received = 0
        self._token, self._token_variable = token, token_variable
        self._next_slot = 0.0
        self._failed_in_a_row = 0
        agent = f"motags/{version('motags')} ({contact}) python-requests/{version('requests')}"
        self.headers.update({"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": "gzip"})
        self.auth = self._authorise  # also keeps a .netrc from being read
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1))

    @property
    def least_seconds(self) -> float:
        """The time that the requests made so far take at least at the site's rate."""
        return self.requests_made / self.rate

    def get_json(self, url: str, query: dict[str, Any], timeout: float = 0.0) -> dict[str, Any]:
        """Get a JSON object; it waits `timeout` seconds where that is longer than `crawl.fetch.timeout`.

        Raises:
            Gone: 404 or 410.
            Failed: any other answer that can't be used, after all tries.
            MotagsError: the site wants no more requests of ours (401, 403, too long a wait, down).
        """
        return self._ask("GET", url, {"params": query, "timeout": timeout})[1]

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Make a request as `requests.Session` does, politely; the answer holds a JSON object."""
        return self._ask(method, url, options)[0]

    def check(self, answer: dict[str, Any], response: requests.Response) -> None:
        """Raise TryAgain or Failed where a site tells of an error in a 200."""

    @contextmanager
    def known_shape(self, question: str) -> Iterator[None]:
        """Raise Failed where the block finds that an answer is not built as the site's API says."""
        try:
            yield
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError):
            raise Failed(f"{self.name} answers {question} in an unknown shape") from None

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _ask(self, method: str, url: str, options: dict[str, Any]) -> tuple[requests.Response, dict[str, Any]]:
        for attempt in range(1, self.policy.tries + 1):
            self._wait_for_slot()
            try:
                answer = self._try(method, url, options)
            except TryAgain as again:
                log.debug("%s: %s, attempt %d", self.name, again, attempt)
                failure = again.last(f"{self.name}: {again} ({attempt} tries)")
                if attempt < self.policy.tries:
                    self._pause(again, attempt)
                elif again.after:  # whatever is asked for next
                    self._refuse_long(again.after)
                    self._next_slot = max(self._next_slot, time.monotonic() + again.after)
            except Gone:
                self._failed_in_a_row = 0
                raise
            except Failed as error:
                failure = error
                break
            else:
                self._failed_in_a_row = 0
                return answer
        raise self._count(failure)

    def _count(self, failure: MotagsError) -> MotagsError:
        self._failed_in_a_row += 1
        if self._failed_in_a_row < MAX_IN_A_ROW:
            return failure
        return MotagsError(
            f"{self.name} failed {MAX_IN_A_ROW} times in a row, the last time so: {failure}; "
            "run the same command later, it goes on where it stopped"
        )

    def _wait_for_slot(self) -> None:
        time.sleep(max(0.0, self._next_slot - time.monotonic()))
        self._next_slot = max(self._next_slot, time.monotonic()) + 1 / self.rate
        self.requests_made += 1

    def _pause(self, again: TryAgain, attempt: int) -> None:
        wait = again.after
        if wait is None:
            wait = min(self.policy.max_wait, self.policy.backoff * 2 ** (attempt - 1)) * random.uniform(0.5, 1)  # noqa: S311
        self._refuse_long(wait)
        time.sleep(wait)

    def _refuse_long(self, wait: float) -> None:
        if wait > self.policy.max_wait:
            raise MotagsError(
                f"{self.name} asks to wait {wait:,.0f} s, longer than crawl.fetch.max_wait = {self.policy.max_wait:g}: "
                "run the same command later, it goes on where it stopped"
            )

    def _try(self, method: str, url: str, options: dict[str, Any]) -> tuple[requests.Response, dict[str, Any]]:
        timeout = max(self.policy.timeout, options.get("timeout") or 0)
        safe = {"stream": True, "allow_redirects": False, "timeout": timeout}
        try:
            with closing(super().request(method, url, **options | safe)) as response:
                response._content = self._body(response)  # what requests' own reading would set
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise TryAgain(_brief(error)) from None
        self._check_status(response)
        answer = self._parsed(response)
        self.check(answer, response)
        return response, answer

    def _body(self, response: requests.Response) -> bytes:
        body, limit = bytearray(), int(self.policy.max_body_mb * 2**20)
        deadline = time.monotonic() + 10 * self.policy.timeout
        try:
            for chunk in iter(lambda: response.raw.read1(2**16, decode_content=True), b""):  # as it comes
                body += chunk
                if len(body) > limit:
                    raise Failed(f"{self.name}: an answer larger than crawl.fetch.max_body_mb = {limit / 2**20:g}")
                if time.monotonic() > deadline:
                    raise TryAgain("an answer that comes too slowly")
        finally:
            self.bytes_received += response.raw.tell()
        return self._redacted(bytes(body))

    def _redacted(self, text: bytes) -> bytes:
        return text.replace(self._token.encode(), b"[token]") if self._token else text

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status == HTTPStatus.OK:
            return
        if status == HTTPStatus.UNAUTHORIZED:
            how = f"set {self._token_variable} to a valid token" if self._token_variable else "it wants a login"
            raise MotagsError(f"{self.name} answers 401, not authorised: {how}")
        if status == HTTPStatus.FORBIDDEN:
            raise MotagsError(
                f"{self.name} answers 403, forbidden: crawl.contact must be true, and its terms allow you"
            )
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            raise Gone(f"{self.name} answers {status}, not there")
        if status >= 500 or status in {408, 425, 429}:
            last = MotagsError if status == HTTPStatus.TOO_MANY_REQUESTS else Failed
            raise TryAgain(f"it answers {status}", retry_after(response), last)
        if 300 <= status < 400:
            where = self._redacted(str(response.headers.get("Location", "")).encode()).decode()[:200]
            raise Failed(f"{self.name} redirects to {where!r}, which is refused: give its new address in section crawl")
        raise Failed(f"{self.name} answers {status}: {_message(response.content)}")

    def _parsed(self, response: requests.Response) -> dict[str, Any]:
        try:
            answer = json.loads(response.content)
        except (ValueError, RecursionError) as error:
            raise TryAgain(f"an answer that is not JSON ({type(error).__name__})") from None
        if not isinstance(answer, dict):
            raise TryAgain(f"a JSON {type(answer).__name__} where an object is expected")
        return answer


def retry_after(response: requests.Response) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date; None where it is absent or makes no sense."""
    value = response.headers.get("Retry-After")
    try:
        return None if value is None else float(Retry(retry_after_max=sys.maxsize).parse_retry_after(value))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _brief(error: Exception) -> str:
    """What went wrong, without the address and its query."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", type(error).__name__)).lower() or type(error).__name__


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["status_message"])[:200]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no reason given"

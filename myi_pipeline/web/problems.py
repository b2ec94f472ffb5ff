"""Every error as a problem document (RFC 9457): which failure has which status and type, and what it says.

Invariant: an error answer reveals no internals: no SQL, no path, no secret.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from myi_pipeline.errors import BadInput, CircuitOpen, DiskFull, Forbidden, Gone, MyiError, RateLimited, Transient
from myi_pipeline.logs import correlation_id, mask
from myi_pipeline.web.reads.marts import MartsOutdated
from myi_pipeline.web.site_path import address_below

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S, _REBUILT_AFTER_S = 2, 15
_LONGEST_DETAIL = 500
_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_QUOTED = re.compile(r"'([^']*)'")
# What is wrong with a value, by pydantic's word for it. Its own sentences are about Python.
# By RFC 9110; before version 3.13 Python has the names of RFC 7231 and 4918.
_RENAMED = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_WRONG = {
    "missing": "is missing",
    "extra_forbidden": "is unknown here",
    "json_invalid": "is not JSON",
    "string_type": "must be a text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must be a JSON object"),
}


class Problem(HTTPException):
    """An answer that is an error. `kind` is the last word of its type, the same for the same mistake for ever.

    An HTTPException, because FastAPI turns any other that is raised while it reads a body into a 400.
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.kind = kind
        self.more = more


def sentence(text: str) -> str:
    """Adds a capital letter and a full stop, which reasons for logs and programs lack."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def refused(error: Exception) -> Problem:
    """The problem with a request that names something impossible, as the error says it."""
    return Problem(422, "invalid-request", sentence(str(error)))


def wrong_value(place: str, message: str, *, detail: str | None = None) -> Problem:
    """The problem with one value of a request that only the database knows to be wrong. `detail`: what people are told,
    if the message alone does not read well after the value's name.
    """
    told = f"{_sentence(place, message)}." if detail is None else detail
    return Problem(422, "invalid-request", told, errors=[{"place": place, "message": message}])


class ProblemField(BaseModel):
    """One value of a request that cannot be."""

    place: str = Field(description="Where it is: `query.limit`, `body.name`.", examples=["query.limit"])
    message: str = Field(description="What is wrong with it.", examples=["must be a whole number from 1 to 500"])


class ProblemDocument(BaseModel):
    """What every error looks like (RFC 9457)."""

    type: str = Field(description="Names the kind of problem, for programs.", examples=["urn:myi:problem:not-found"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status code.", examples=[404])
    detail: str = Field(description="What happened here, for people.", examples=["There is nothing here."])
    instance: str = Field(description="This request, as logs name it.", examples=["urn:myi:request:5f0c1e2d3a4b5c6d"])
    errors: list[ProblemField] | None = Field(default=None, description="With `invalid-request`: each wrong value.")


def reason_phrase(status: int) -> str:
    """RFC 9110's name of a status, whatever the version of Python."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


def answer(problem: Problem, *, path: str = "") -> JSONResponse:
    """The problem as a response to a request for this path."""
    document: dict[str, Any] = {
        "type": f"urn:myi:problem:{problem.kind}",
        "title": reason_phrase(problem.status_code),
        "status": problem.status_code,
        "detail": mask(problem.detail)[:_LONGEST_DETAIL],
        "instance": f"urn:myi:request:{correlation_id()}",
        **problem.more,
    }
    if not speaks_listenbrainz(path):
        return JSONResponse(document, status_code=problem.status_code, headers=problem.headers, media_type=MEDIA_TYPE)
    # Navidrome goes by `code` alone: it takes an error without one for success, sends again after 500 and 503, and
    # drops the listen after any other. Jellyfin's plugin waits as long as its own header says.
    code = 503 if problem.status_code in _MAY_WORK_LATER else problem.status_code
    document |= {"code": code, "error": document["detail"]}
    headers = dict(problem.headers or {})
    if problem.status_code == 429:
        headers["X-RateLimit-Reset-In"] = headers.get("Retry-After", str(_RETRY_AFTER_S))
    return JSONResponse(document, status_code=problem.status_code, headers=headers)


def is_of_the_contract(path: str) -> bool:
    """Whether what is below this path is for programs, and always answers in one way."""
    return path.startswith(("/v1/", "/auth/"))


_MAY_WORK_LATER = frozenset({421, 429, 504, 507})
_LISTENBRAINZ = re.compile(r"/?(/apis/listenbrainz)?/1(/|\Z)")


def speaks_listenbrainz(path: str) -> bool:
    """Whether what is below this path is ListenBrainz' API, whose errors have its own form."""
    return _LISTENBRAINZ.match(path) is not None


def unavailable(detail: str) -> Problem:
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(_RETRY_AFTER_S)})


def no_room() -> Problem:
    return Problem(
        507,
        "no-room",
        "The disk is nearly full, so nothing was stored. The operator has to free some space.",
        headers={"Connection": "close"},
    )


def describe(error: Exception) -> Problem:
    """Which problem an exception is."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _plain(error)
        case RateLimited() | CircuitOpen():
            wait = max(1, int((error.retry_at - datetime.now(UTC)).total_seconds()) + 1)
            return Problem(503, "unavailable", str(error), headers={"Retry-After": str(wait)})
        case psycopg.errors.QueryCanceled():
            return Problem(504, "took-too-long", "The request took too long; ask for less.")
        case MartsOutdated():
            headers = {"Retry-After": str(_REBUILT_AFTER_S)}
            return Problem(503, "being-rebuilt", str(error), headers=headers)
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return unavailable("The database does not answer; try again in a moment.")
        case DiskFull():
            return no_room()
        case Transient():
            return unavailable(str(error))
        case BadInput():
            return Problem(422, "invalid-request", str(error))
        case Forbidden():
            return Problem(403, "forbidden", str(error))
        case Gone():
            return Problem(410, "gone", str(error))
        case MyiError():
            return Problem(409, "refused", str(error))
        case _:
            return Problem(500, "internal-error", "Something went wrong; the log says more about this request.")


def _plain(error: HTTPException) -> Problem:
    kinds = {404: "not-found", 405: "method-not-allowed"}
    details = {404: "There is nothing here.", 405: "This address does not allow that method."}
    kind = kinds.get(error.status_code, "refused")
    detail = details.get(error.status_code, str(error.detail))
    return Problem(error.status_code, kind, detail, headers=error.headers)


def _invalid(error: RequestValidationError) -> Problem:
    # Without the value: it may be anything, and may be secret. A place may be a name that the request made up.
    fields = [
        {"place": ".".join(shown(part) for part in _place(each)), "message": _message(each)[:200]}
        for each in error.errors()[:20]
    ]
    told = "; ".join(_sentence(**each) for each in fields[:3]) or "The request is invalid"
    more = f"; and {len(fields) - 3} more" if len(fields) > 3 else ""
    return Problem(422, "invalid-request", f"{told}{more}{'' if told.endswith('?') else '.'}", errors=fields)


def _sentence(place: str, message: str) -> str:
    name = place.partition(".")[2]
    return f"'{name}' {message}" if name else f"The {place} {message}"


def _place(error: Mapping[str, Any]) -> tuple[object, ...]:
    # Where JSON breaks off is a number of a character, not a name.
    return ("body",) if error["type"] == "json_invalid" else tuple(error["loc"])


def _message(error: Mapping[str, Any]) -> str:
    kind, about = error["type"], error.get("ctx") or {}
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind in ("literal_error", "enum"):
        choices = _QUOTED.findall(str(about["expected"]))
        return one_of(choices, error.get("input"))
    if kind == "string_too_short" and about["min_length"] == 1:
        return "must not be empty"
    return _WRONG.get(kind, "is invalid").format_map(about)


def one_of(choices: Iterable[str], given: object) -> str:
    """What is wrong with a value that is none of the choices."""
    near = did_you_mean(given, choices)
    return f"must be one of {', '.join(choices)}" + (f": {near}" if near else "")


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """The known name that looks most like what was given, as a question; empty where none does."""
    if not isinstance(given, str) or not _WORD.match(given):
        return ""
    near = get_close_matches(given.lower(), list(known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else ""


def shown(part: object) -> str:
    """A name out of a request, if it can be nothing but a name."""
    text = str(part)
    return text if _WORD.match(text) else "?"


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How the contract describes these errors of a route."""
    return {
        status: {
            "description": reason_phrase(status),
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}},
        }
        for status in statuses
    }


AsPage = Callable[[Request, Problem], Awaitable[Response | None]]


async def never_as_page(_: Request, __: Problem) -> None:
    """For what only programs ask."""


def install(app: FastAPI, *, as_page: AsPage = never_as_page) -> None:
    """Makes every error of the app a problem document, or for a person what `as_page` makes of it."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = describe(error)
        if problem.status_code == 500:
            log.error("request_failed", exc_info=error)
        elif problem.status_code == 503:
            log.warning("request_not_served", reason=type(error).__name__)
        elif problem.status_code == 404 and not isinstance(error, Problem) and is_of_the_contract(request.url.path):
            listed = address_below("/v1/openapi.json")
            problem = Problem(404, "not-found", f"The API has no such address; {listed} lists those it has.")
        return await as_page(request, problem) or answer(problem, path=request.scope["path"])

    for kind in (RequestValidationError, HTTPException, MyiError, psycopg.Error):
        app.add_exception_handler(kind, handle)

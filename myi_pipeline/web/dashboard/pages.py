"""Pages for people: rendering, and telling whether a person asks.

Belongs here: the template environment, local addresses. Not here: what stands on a page. Invariants: every value that
enters a page is escaped, whatever it is; nobody is sent to another site by an address that came in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path

import jinja2
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.api import assets
from myi_pipeline.api.page_formats import FILTERS
from myi_pipeline.api.problems import Problem
from myi_pipeline.logs import mask

FOLDER = Path(__file__).parent
# Browsers read a backslash as a slash, and //host as another site.
_LOCAL = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*\Z")
_LONGEST_ADDRESS = 500


class SendTo(Exception):
    """The page is for somebody else, or elsewhere: the browser is sent to a path of this site."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals.update(asset=assets.address, chart_style_guards=assets.chart_style_guards)
    return made


def page(
    template: str, values: Mapping[str, object] | None = None, *, status: int = 200, **more: object
) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(template).render(values or {}, **more), status_code=status)


def problem_page(problem: Problem) -> HTMLResponse:
    """A problem as a person reads it."""
    title = HTTPStatus(problem.status_code).phrase
    made = page("problem.html", status=problem.status_code, title=title, detail=mask(problem.detail))
    made.headers.update(problem.headers or {})
    return made


def install(app: FastAPI) -> None:
    """Makes SendTo a redirect."""

    async def redirect(_: Request, error: Exception) -> Response:
        assert isinstance(error, SendTo)
        return RedirectResponse(error.path, 303)

    app.add_exception_handler(SendTo, redirect)


def as_page(request: Request, problem: Problem) -> HTMLResponse | None:
    """A page when a browser asks for one, except below `/v1`, which always answers in one way."""
    return problem_page(problem) if wants_page(request) and not request.url.path.startswith("/v1/") else None


def wants_page(request: Request) -> bool:
    """Whether a browser asks for something to look at."""
    return "text/html" in request.headers.get("accept", "")


def local_address(address: str | None) -> str:
    """A path on this site, or `/` when it is anything else."""
    is_local = address is not None and len(address) <= _LONGEST_ADDRESS and _LOCAL.match(address) is not None
    return address if is_local and address is not None else "/"

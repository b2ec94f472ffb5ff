"""Pages for people: rendering them, and recognising requests for a page.

Invariants: every value on a page is escaped; no address in a request sends a browser to another site.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path

import jinja2
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.archives.files.formats import READ_SUFFIXES
from myi_pipeline.catalogue.sources import EXPORTERS
from myi_pipeline.logs import mask
from myi_pipeline.web.dashboard import assets
from myi_pipeline.web.dashboard.periods import kept_query
from myi_pipeline.web.dashboard.plots import plot
from myi_pipeline.web.dashboard.polling_news import spotify_trouble
from myi_pipeline.web.problems import Problem, is_of_the_contract, reason_phrase, speaks_listenbrainz
from myi_pipeline.web.reads import replica
from myi_pipeline.web.reads.marts import Marts, MartsMissing
from myi_pipeline.web.reads.servers import DatabaseGone
from myi_pipeline.web.reads.summary import heard_span
from myi_pipeline.web.reads.user_status import find_user_status
from myi_pipeline.web.security.identity import find_visitor
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.cards import Card
from myi_pipeline.web.shown.formats import FILTERS
from myi_pipeline.web.shown.looks import current
from myi_pipeline.web.site import Site
from myi_pipeline.web.site_path import below_site_path

FOLDER = Path(__file__).parent
# Browsers read a backslash as a slash, and //host as another site.
_LOCAL = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*\Z")
_LONGEST_ADDRESS = 500
# Mistakes in an address or a form: worth looking up the person, to show them within the frame.
_FRAMED = frozenset({404, 405, 409, 410, 422})
# HTTP's names for these statuses are for programs.
_TITLES = {
    403: "That is not allowed",
    404: "Not found",
    409: "That is not possible now",
    410: "This link has ended",
    413: "That is too large",
    422: "That does not work",
    429: "One moment, please",
    500: "Something went wrong",
    503: "Not available just now",
    504: "That took too long",
    507: "The disk is full",
}
# Kinds of problem that only need waiting: the page says so and reloads automatically.
_WAITS = {"being-rebuilt": "Your figures are being rebuilt"}
# Reads the data of a page.
Build = Callable[[Marts], Awaitable[Mapping[str, object]]]


class SendTo(Exception):
    """Sends the browser to another path of this site."""

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
    made.globals.update(asset=assets.address, plot=plot, exporters=EXPORTERS, upload_suffixes=[".zip", *READ_SUFFIXES])
    return made


def page(
    template: str, values: Mapping[str, object] | None = None, *, status: int = 200, **more: object
) -> HTMLResponse:
    seen = replica.current.get()
    frame = {"scheme": current.get().scheme, "as_of": seen.as_of if seen is not None else None, **more}
    # Jinja would let the frame's value win, and the page's own would not appear.
    assert not frame.keys() & (values or {}).keys(), f"{template} and its frame have values with the same name"
    made = _environment().get_template(template).render(values or {}, **frame)
    return HTMLResponse(below_site_path(made), status_code=status)


def show(
    request: Request,
    person: Visitor,
    template: str,
    values: Mapping[str, object] | None = None,
    *,
    path: str | None = None,
) -> HTMLResponse:
    """A page of the dashboard with its frame; `path` is its own address if it answers another one."""
    here = path or request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return page(template, values, person=person, path=path or request.url.path, here=here, kept=kept_query(request))


async def show_marts(
    request: Request,
    person: Visitor,
    site: Site,
    template: str,
    build: Build,
    *,
    path: str | None = None,
    **values: object,
) -> HTMLResponse:
    """A page with what `build` reads in one snapshot, or the welcome page if nothing was heard yet.

    `path` is its own address if it answers another one.
    """

    async def read(marts: Marts) -> Mapping[str, object] | None:
        if (await marts.version()).number is None or await heard_span(marts) is None:
            return None
        return await build(marts)

    try:
        found = await site.pools.read(person.user_id, read)
    except MartsMissing:
        found = None
    if found is None:
        return await show_welcome(request, person, site)
    return show(request, person, template, {**values, **found}, path=path)


async def show_welcome(request: Request, person: Visitor, site: Site) -> HTMLResponse:
    """The welcome page with the upload, instead of an empty page."""
    values = {
        "user_status": await find_user_status(site.pools, person.user_id),
        "spotify_trouble": spotify_trouble(site.settings),
        "most_bytes": site.settings.api_max_upload_bytes,
    }
    return show(request, person, "welcome.html", values)


def picture(card: Card, name: str) -> Response:
    """A card of a story as a file to download."""
    text = _environment().get_template("card.svg").render(card=card)
    headers = {"content-disposition": f'attachment; filename="{name}.svg"'}
    return Response(text, media_type="image/svg+xml", headers=headers)


def problem_page(request: Request, problem: Problem, person: Visitor | None = None) -> HTMLResponse:
    """A problem as a page, within the dashboard's frame if somebody is signed in."""
    wait = _WAITS.get(problem.kind)
    values = {
        "title": wait or _TITLES.get(problem.status_code) or reason_phrase(problem.status_code),
        "detail": mask(problem.detail),
        "again_in_s": (problem.headers or {}).get("Retry-After") if wait else None,
        "person": person,
        "path": request.url.path,
        "here": "/",
        "kept": "",
    }
    made = page("problem.html", values, status=problem.status_code)
    made.headers.update(problem.headers or {})
    return made


def install(app: FastAPI) -> None:
    """Registers SendTo as a redirect."""

    async def redirect(_: Request, error: Exception) -> Response:
        assert isinstance(error, SendTo)
        return RedirectResponse(error.path, 303)

    app.add_exception_handler(SendTo, redirect)


async def as_page(request: Request, problem: Problem) -> HTMLResponse | None:
    """Answers a browser with a page, except on routes for programs, which always get the same form of answer."""
    path = request.scope["path"]
    if not wants_page(request) or is_of_the_contract(path) or speaks_listenbrainz(path):
        return None
    return problem_page(request, problem, await _signed_in(request, problem))


async def _signed_in(request: Request, problem: Problem) -> Visitor | None:
    """Who is signed in, for the frame of an error page.

    Looked up only if that cannot fail itself: not when the database is the problem, or too many requests."""
    if not hasattr(request.state, "visitor"):
        if problem.status_code not in _FRAMED:
            return None
        try:
            await find_visitor(request, request.app.state.site)
        except (Problem, DatabaseGone):
            return None
    visitor: Visitor | None = request.state.visitor
    return visitor if visitor is not None and visitor.session_id is not None else None


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page."""
    return "text/html" in request.headers.get("accept", "")


def local_address(address: str | None) -> str:
    """A path on this site, or `/` if it is anything else."""
    is_local = address is not None and len(address) <= _LONGEST_ADDRESS and _LOCAL.match(address) is not None
    return address if is_local and address is not None else "/"

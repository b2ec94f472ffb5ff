"""Handing archives in, and what became of them.

Belongs here: the pages and the form for browsers without JavaScript. Not here: the way to the uploads folder
(api/uploads), events (routes/imports). Invariant: what is not this person's import is not there.
"""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from myi_pipeline.api.page_lists import place_of
from myi_pipeline.api.page_queries import number_in_path
from myi_pipeline.api.problems import Problem, describe
from myi_pipeline.api.routes.pages.doer import OnImports
from myi_pipeline.api.routes.pages.reader import Person, show
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.security.rate_limits import Tier, limited
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.api.uploads import form_file, receive_upload
from myi_pipeline.core.errors import BadInput
from myi_pipeline.services.forget_upload import forget_upload, uploaded_file
from myi_pipeline.services.list_imports import ImportDetail, get_import, list_imports

router = APIRouter()

_IMPORTS_A_PAGE = 25
_OPEN = ("pending", "running")
_MOST_NUMBER = 2**31 - 1


@router.get("/imports")
async def imports(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    return await _list(request, site, person)


@router.post("/imports", dependencies=[Depends(limited(Tier.SENSITIVE, "uploads"))])
async def hand_in(request: Request, person: OnImports, site: TheSite) -> Response:
    """The form, as a browser sends it by itself."""
    try:
        taken = await receive_upload(request, site, person, partial(form_file, field="archive"))
    except (Problem, BadInput) as error:
        problem = describe(error)
        if problem.status_code != 422:
            raise
        answer = await _list(request, site, person, trouble=problem.detail)
        answer.status_code = 422
        return answer
    return RedirectResponse(f"/imports/{taken.import_id}", 303)


@router.get("/imports/{import_id}")
async def one_import(request: Request, person: Person, site: TheSite, import_id: str) -> HTMLResponse:
    """Live while it is open; its accounting, file by file."""
    detail = await _detail(site, person, import_id)
    found = await run_in_threadpool(
        uploaded_file, site.settings, user_key=person.user_key, sha256=detail.summary.sha256
    )
    values = {
        "summary": detail.summary,
        "files": detail.files,
        "reasons": detail.quarantine,
        "is_open": detail.summary.status in _OPEN,
        "has_file": found is not None,
    }
    return show(request, person, "import.html", values)


@router.post("/imports/{import_id}/delete-file")
async def delete_file(person: OnImports, site: TheSite, import_id: str) -> Response:
    """The archive leaves this machine; its plays stay."""
    detail = await _detail(site, person, import_id)
    if detail.summary.status in _OPEN:
        raise Problem(409, "refused", "This archive is still needed: it is being imported.")
    await run_in_threadpool(forget_upload, site.settings, user_key=person.user_key, sha256=detail.summary.sha256)
    return RedirectResponse(f"/imports/{detail.summary.import_id}", 303)


async def _detail(site: Site, person: Visitor, import_id: str) -> ImportDetail:
    number = number_in_path(import_id)
    asked = partial(get_import, import_id=min(number, _MOST_NUMBER), user_key=person.user_key)
    try:
        return await site.pools.in_thread(asked)
    except BadInput:
        raise Problem(404, "not-found", "There is no such import of yours.") from None


async def _list(request: Request, site: Site, person: Visitor, *, trouble: str | None = None) -> HTMLResponse:
    place = place_of(request, site, person.user_id)
    before = int(place.keys[0]) if place.keys is not None else None
    asked = partial(list_imports, user_key=person.user_key, limit=_IMPORTS_A_PAGE + 1, before=before)
    found = await site.pools.in_thread(asked)
    rows = found[:_IMPORTS_A_PAGE]
    values = {
        "imports": rows,
        "first": place.first,
        "next": place.next([rows[-1].import_id]) if len(found) > len(rows) else None,
        "trouble": trouble,
        "most_bytes": site.settings.api_max_upload_bytes,
    }
    return show(request, person, "imports.html", values)

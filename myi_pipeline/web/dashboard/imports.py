"""Uploading archives and following their imports: the pages, and the form for browsers without JavaScript."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from myi_pipeline.archives.import_log import forget_unbegun, members_of
from myi_pipeline.archives.list_imports import ImportDetail, get_import, list_imports
from myi_pipeline.archives.uploads.forget import forget_upload, has_file
from myi_pipeline.archives.uploads.upload_log import retry_import
from myi_pipeline.errors import BadInput
from myi_pipeline.web.dashboard.import_stages import STEPS, find_stage
from myi_pipeline.web.dashboard.inputs import number_in_path
from myi_pipeline.web.dashboard.pages import show
from myi_pipeline.web.dashboard.paging import place_of
from myi_pipeline.web.dashboard.signed_in import ImportsForm, Person
from myi_pipeline.web.problems import Problem, describe
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.uploads import form_file, receive_upload

router = APIRouter()

_IMPORTS_A_PAGE = 25
_OPEN = ("pending", "running")
_MOST_NUMBER = 2**31 - 1


@router.get("/imports")
async def imports(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    return await _list(request, site, person)


@router.post("/imports", dependencies=[Depends(limited(Tier.SENSITIVE, "uploads"))])
async def hand_in(request: Request, person: ImportsForm, site: TheSite) -> Response:
    """The form, as a browser without JavaScript sends it."""
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
    """Updated live while it is open; with the accounting of each file."""
    detail = await _detail(site, person, import_id)
    stage = await find_stage(site, person, detail.summary.import_id)
    summary = stage.summary
    lies_there = await run_in_threadpool(
        has_file,
        site.settings,
        user_key=person.user_key,
        sha256=summary.sha256,
        upload_name=summary.upload_name,
    )
    values = {
        "summary": summary,
        "files": detail.files,
        "reasons": detail.quarantine,
        "stage": stage,
        "steps": STEPS,
        "has_file": lies_there,
    }
    return show(request, person, "import.html", values)


@router.post("/imports/{import_id}/retry")
async def retry(person: ImportsForm, site: TheSite, import_id: str) -> Response:
    """Queues a failed import again."""
    return await _again(site, person, import_id, is_confirmed=False)


@router.post("/imports/{import_id}/confirm")
async def confirm(person: ImportsForm, site: TheSite, import_id: str) -> Response:
    """Confirms that the archive belongs to this person, although another user has it."""
    return await _again(site, person, import_id, is_confirmed=True)


async def _again(site: Site, person: Visitor, import_id: str, *, is_confirmed: bool) -> Response:
    detail = await _detail(site, person, import_id)
    number = detail.summary.import_id
    asked = partial(retry_import, import_id=number, user_key=person.user_key, is_confirmed=is_confirmed)
    try:
        await site.pools.in_thread(asked)
    except BadInput as error:
        raise Problem(409, "refused", str(error)) from None
    return RedirectResponse(f"/imports/{number}", 303)


@router.post("/imports/{import_id}/delete-file")
async def delete_file(person: ImportsForm, site: TheSite, import_id: str) -> Response:
    """Deletes the archive and every copy of it from this machine; its plays stay."""
    summary = (await _detail(site, person, import_id)).summary
    if summary.status in _OPEN and not summary.needs_confirmation:
        raise Problem(409, "refused", "This archive is still needed: it is being imported.")
    members = await site.pools.in_thread(members_of, import_id=summary.import_id)
    forget = partial(forget_upload, site.settings, user_key=person.user_key, sha256=summary.sha256, members=members)
    # Copies are found by their content, in the threads that check uploads.
    with site.uploads.held(person.user_id):
        await site.uploads.work(person.user_id, forget)
    if summary.needs_confirmation and await site.pools.in_thread(forget_unbegun, import_id=summary.import_id):
        return RedirectResponse("/imports", 303)
    return RedirectResponse(f"/imports/{summary.import_id}", 303)


async def _detail(site: Site, person: Visitor, import_id: str) -> ImportDetail:
    number = number_in_path(import_id)
    asked = partial(get_import, import_id=min(number, _MOST_NUMBER), user_key=person.user_key)
    try:
        return await site.pools.in_thread(asked)
    except BadInput:
        raise Problem(404, "not-found", "No such import.") from None


async def _list(request: Request, site: Site, person: Visitor, *, trouble: str | None = None) -> HTMLResponse:
    place = place_of(request, site, person.user_id)
    before = int(place.after.keys[0]) if place.after.keys is not None else None
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

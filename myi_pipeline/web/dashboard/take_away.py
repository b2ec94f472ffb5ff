"""The page for exports of everything: requesting one, its progress, downloading and deleting it."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from myi_pipeline.web.dashboard.inputs import form_of, id_in_path
from myi_pipeline.web.dashboard.pages import show
from myi_pipeline.web.dashboard.signed_in import ExportsForm, Person
from myi_pipeline.web.playlist_files import LINK_LASTS_S
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.site import TheSite
from myi_pipeline.web.take_away import delete_export, order_export, shown_exports

router = APIRouter()

_DONE = {"ordered": "Your export is on its way.", "deleted": "The export is deleted."}
# How often the page reloads automatically.
_LOOKS_EVERY_S = 5


@router.get("/exports")
async def take_away(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    exports = await shown_exports(site, person)
    values = {
        "exports": exports,
        "is_busy": any(each.is_under_way for each in exports),
        "done": _DONE.get(request.query_params.get("done", "")),
        "days": site.settings.artifacts_days,
        "link_minutes": LINK_LASTS_S // 60,
        "looks_every_s": _LOOKS_EVERY_S,
    }
    return show(request, person, "take_away.html", values)


@router.post("/exports", dependencies=[Depends(limited(Tier.SENSITIVE, "exports"))])
async def order(request: Request, person: ExportsForm, site: TheSite) -> Response:
    form = await form_of(request)
    address = client_address(request, site.settings.trusted_networks)
    await order_export(site, person, with_marts=form.get("with_marts") == "yes", address=address)
    return RedirectResponse("/exports?done=ordered", 303)


@router.post("/exports/{export_id}/delete")
async def delete(export_id: str, request: Request, person: ExportsForm, site: TheSite) -> Response:
    number = id_in_path(export_id, what="export")
    address = client_address(request, site.settings.trusted_networks)
    if not await delete_export(site, person, export_id=number, address=address):
        raise Problem(404, "not-found", "You have no such export that could be deleted now.")
    return RedirectResponse("/exports?done=deleted", 303)

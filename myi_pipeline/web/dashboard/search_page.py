"""What you heard, found by name."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import choice_of, text_of
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.search import KINDS, SearchRow
from myi_pipeline.web.reads.search import search as read_search
from myi_pipeline.web.reads.top import Listed
from myi_pipeline.web.site import TheSite

router = APIRouter()

# Results per kind, and if only one kind is shown.
_OF_EACH, _OF_ONE = 8, 50


@router.get("/search")
async def search(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    typed = text_of(request, "q")
    kind = choice_of(request, "kind", KINDS)
    kinds, limit = ((kind,), _OF_ONE) if kind else (KINDS, _OF_EACH)

    async def build(marts: Marts) -> Mapping[str, object]:
        # One more, to know whether there are more.
        rows = await read_search(marts, typed, kinds=kinds, by=Listed.RECORDING, limit=limit + 1) if typed else []
        groups: dict[str, list[SearchRow]] = {each: [] for each in kinds}
        for row in rows:
            groups[row.kind].append(row)
        return {"groups": {name: found for name, found in groups.items() if found}}

    return await show_marts(request, person, site, "search.html", build, typed=typed, kind=kind, limit=limit)

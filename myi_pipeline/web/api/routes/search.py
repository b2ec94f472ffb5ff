"""Search of what you heard."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import SearchItem, SearchResults
from myi_pipeline.web.api.parameters import COUNTED_BY, Limit, ListedOf, Text
from myi_pipeline.web.api.routes.reading import Fields, responses, serve_document
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.search import KINDS
from myi_pipeline.web.reads.search import search as read_search
from myi_pipeline.web.reads.top import Listed
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.shown.contract import fields_of
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["lists"])


@router.get(
    "/search",
    operation_id="search",
    response_model=SearchResults,
    responses=responses(is_table=True),
    summary="Search what you heard",
)
async def search(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    q: Annotated[
        Text, Query(description="Words of the name, in any order; for tracks and albums, also of the artist.")
    ],
    kind: Annotated[
        Literal["artist", "album", "track", "show", "episode", "all"], Query(description="Only this kind.")
    ] = "all",
    by: Annotated[ListedOf, Query(description=COUNTED_BY)] = Listed.TRACK,
    limit: Annotated[Limit, Query(description="Maximum number of items of each kind.")] = 10,
) -> Response:
    """Ignores case, accents and punctuation; names with a typo are found if no other name begins with the words.

    Best match first, then most heard."""

    async def build(marts: Marts) -> Fields:
        rows = await read_search(marts, q, kinds=KINDS if kind == "all" else (kind,), by=by, limit=limit)
        return {"data": fields_of(SearchItem, rows)}

    return await serve_document(request, visitor, site, build, table_of=SearchItem)

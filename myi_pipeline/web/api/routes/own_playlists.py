"""Removing playlists that are no service's: those from files, and those that MYI made.

They are marked as gone, and their history stays. Playlists of linked accounts are removed at their service.
"""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.removing import ListOfService, remove_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.migration_asking import MARKED, address_of
from myi_pipeline.web.api.routes.playlist_files import refusal
from myi_pipeline.web.api.routes.playlists import PlaylistId
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.problems import Problem, sentence
from myi_pipeline.web.security.identity import PlaylistMover
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["playlists"])

_NONE = "You have no playlist with this id."
_LIMITED = [Depends(limited(Tier.SENSITIVE, "playlists"))]


class _OneList(StringConvertor):
    """What may name a playlist. Otherwise the exports of playlists would be an address with this method."""

    regex = r"(?!exports$)[^/]+"


register_url_convertor("one_list", _OneList())


@router.delete(
    "/playlists/{playlist_id:one_list}",
    operation_id="removePlaylist",
    status_code=204,
    responses={
        204: {"description": "It is removed, or was removed before."},
        **problems(
            401, 422, 429, 503,
            _403="Neither a signed-in browser nor a token with the scope `playlists:write`.",
            _404=_NONE,
            _409="`list-of-a-service`: it belongs to a linked account; delete it at its service.",
        ),
    },
    response_class=Response,
    openapi_extra=MARKED,
    dependencies=_LIMITED,
    summary="Remove a playlist from a file, or one made here",
)  # fmt: skip
async def remove_playlist(request: Request, mover: PlaylistMover, site: TheSite, playlist_id: PlaylistId) -> Response:
    """Its history stays, and its `state` is `gone` after the next refresh. Importing its file or making it again brings
    it back.
    """
    try:
        await site.pools.in_thread(
            remove_list, user_id=mover.user_id, playlist_id=playlist_id, now=datetime.now(UTC),
            address=address_of(request, site),
        )  # fmt: skip
    except ListOfService as error:
        raise Problem(409, "list-of-a-service", sentence(str(error))) from None
    except BadInput as error:
        raise refusal(error) from None
    return Response(status_code=204)

"""Fetching a file by its link, which needs no sign-in: whoever has it may have the file, for as long as it says."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import BinaryIO

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from myi_pipeline.errors import BadInput
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.storage.folder import FolderStore
from myi_pipeline.storage.links import PATH, BadLink, LinkExpired
from myi_pipeline.storage.open_store import open_store
from myi_pipeline.web.playlist_files import LINK_LASTS_S, media_type_of
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.cursors import MOST_INT
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

_PIECE_BYTES = 256 * 1024
_USER = re.compile(r"[1-9][0-9]{0,9}\Z", re.ASCII)
_WRONG = "This is not a link of this site, or not all of it."
_EXPIRED = "This link has expired. Whoever made it gets another one on the page of exports."
_DELETED = "This file has been deleted. It can be made again on the page of playlists."


@router.get(f"{PATH}/{{user_id}}/{{name}}", dependencies=[Depends(limited(Tier.NORMAL, "downloads"))])
async def download(request: Request, site: TheSite, user_id: str, name: str) -> Response:
    given = request.query_params
    if not _USER.match(user_id) or int(user_id) > MOST_INT:
        raise Problem(404, "not-found", _WRONG)
    user = int(user_id)
    try:
        site.links.check(
            user, name, expires=given.get("expires", ""), signature=given.get("signature", ""), now=time.time()
        )
    except BadLink:
        raise Problem(404, "not-found", _WRONG) from None
    except LinkExpired:
        raise Problem(410, "link-expired", _EXPIRED) from None
    try:
        answer = await run_in_threadpool(_answer, site, user, name)
    except BadInput:
        raise Problem(404, "not-found", _WRONG) from None
    address = client_address(request, site.settings.trusted_networks)
    await site.pools.in_thread(audit.record, Event.EXPORT_FETCHED, user_id=user, address=address, detail={"file": name})
    return answer


def _answer(site: Site, user_id: int, name: str) -> Response:
    store = open_store(site.settings)
    if not isinstance(store, FolderStore):
        if all(file.name != name for file in store.files(user_id)):
            raise Problem(410, "deleted", _DELETED)
        address = store.link(user_id, name, expires_in_s=LINK_LASTS_S)
        assert address is not None
        return RedirectResponse(address, 303, headers={"cache-control": "no-store"})
    file = store.read(user_id, name)
    if file is None:
        raise Problem(410, "deleted", _DELETED)
    headers = {
        "content-length": str(os.fstat(file.fileno()).st_size),
        # Names are of letters, digits and hyphens.
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "private, no-store",
    }
    return StreamingResponse(_pieces(file), media_type=media_type_of(name), headers=headers)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece

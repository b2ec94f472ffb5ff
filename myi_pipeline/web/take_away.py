"""Exports of everything as the page and the API show them: the rows of app.exports with the files that are there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from starlette.concurrency import run_in_threadpool

from myi_pipeline.people import take_away_orders
from myi_pipeline.people.take_away_orders import WantedExport
from myi_pipeline.storage.open_store import open_store
from myi_pipeline.storage.stored_files import FileStore, StoredFile
from myi_pipeline.web.playlist_files import LINK_LASTS_S
from myi_pipeline.web.security.visitors import Visitor

if TYPE_CHECKING:
    from myi_pipeline.web.site import Site


@dataclass(frozen=True, kw_only=True)
class ShownExport:
    """One export; `path` fetches its file on this site, `link` from wherever it is. `deleted`: it was made, and its
    file is there no more."""

    export_id: int
    state: Literal["ordered", "running", "done", "failed", "deleted"]
    with_marts: bool
    ordered_at: datetime
    finished_at: datetime | None
    rows_done: int
    rows_total: int
    events: int | None
    marts_are_current: bool | None
    file_name: str | None
    bytes: int | None
    kept_until: datetime | None
    link: str | None
    path: str | None
    link_expires_at: datetime | None

    @property
    def is_under_way(self) -> bool:
        return self.state in ("ordered", "running")


async def order_export(site: Site, visitor: Visitor, *, with_marts: bool, address: str | None) -> ShownExport:
    """Ask for one, or get the one that is under way."""
    made = await site.pools.in_thread(
        take_away_orders.order_export, user_id=visitor.user_id, with_marts=with_marts, address=address
    )
    return _shown(site, None, visitor.user_id, made, {})


async def shown_exports(site: Site, visitor: Visitor) -> list[ShownExport]:
    """This user's, newest first. Raises Transient, Permanent."""
    found = await site.pools.in_thread(take_away_orders.list_exports, user_id=visitor.user_id)
    return await run_in_threadpool(_with_files, site, visitor.user_id, found)


async def delete_export(site: Site, visitor: Visitor, *, export_id: int, address: str | None) -> bool:
    """Delete one and its file; False if there is none, or it is being made."""
    gone = await site.pools.in_thread(
        take_away_orders.forget_export, user_id=visitor.user_id, export_id=export_id, address=address
    )
    if gone is None:
        return False
    if gone.file_name is not None:
        await run_in_threadpool(_delete_file, site, visitor.user_id, gone.file_name)
    return True


def _delete_file(site: Site, user_id: int, name: str) -> None:
    store = open_store(site.settings)
    for file in store.files(user_id):
        if file.name == name:
            store.delete(file)


def _with_files(site: Site, user_id: int, found: tuple[WantedExport, ...]) -> list[ShownExport]:
    if not any(each.file_name for each in found):
        return [_shown(site, None, user_id, each, {}) for each in found]
    store = open_store(site.settings)
    files = {file.name: file for file in store.files(user_id)}
    return [_shown(site, store, user_id, each, files) for each in found]


def _shown(
    site: Site, store: FileStore | None, user_id: int, each: WantedExport, files: dict[str, StoredFile]
) -> ShownExport:
    file = files.get(each.file_name) if each.file_name is not None else None
    link = path = kept_until = expires = None
    if file is not None and store is not None:
        expires_at = int(time.time()) + LINK_LASTS_S
        path = site.links.address(user_id, file.name, expires_at=expires_at)
        link = store.link(user_id, file.name, expires_in_s=LINK_LASTS_S) or f"{site.settings.site_url}{path}"
        kept_until = file.stored_at + timedelta(days=site.settings.artifacts_days)
        expires = datetime.fromtimestamp(expires_at, UTC)
    return ShownExport(
        export_id=each.export_id,
        state="deleted" if each.state == "done" and file is None else each.state,
        with_marts=each.with_marts,
        ordered_at=each.ordered_at,
        finished_at=each.finished_at,
        rows_done=each.rows_done,
        rows_total=each.rows_total,
        events=each.events,
        marts_are_current=each.marts_are_current,
        file_name=each.file_name,
        bytes=each.size_bytes,
        kept_until=kept_until,
        link=link,
        path=path,
        link_expires_at=expires,
    )

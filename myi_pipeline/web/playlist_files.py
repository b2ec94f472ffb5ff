"""Files that a person takes away: made in a thread, kept in the store of the settings, fetched by a signed link.

A link needs no sign-in, so it lasts an hour; the file itself is there for MYI_ARTIFACTS_DAYS, and whoever is signed in
gets another link for as long.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from starlette.concurrency import run_in_threadpool

from myi_pipeline.errors import BadInput
from myi_pipeline.operations.take_away.make_wanted import FILE_STEM
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.playlists.files import FORMATS
from myi_pipeline.playlists.playlist_files import export_all, export_one
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.postgres.disk_space import MIB, DiskGuard
from myi_pipeline.storage.open_store import open_store
from myi_pipeline.storage.stored_files import FileStore, StoredFile, make_room
from myi_pipeline.web.problems import Problem, no_room
from myi_pipeline.web.security.visitors import Visitor

if TYPE_CHECKING:
    from myi_pipeline.web.site import Site

LINK_LASTS_S = 3_600
# Two at once leave a small machine's processors to those who only read.
_AT_ONCE = 2
_MEDIA_TYPES = {
    ".zip": "application/zip",
    ".m3u8": "audio/x-mpegurl; charset=utf-8",
    ".m3u": "audio/x-mpegurl; charset=utf-8",
    ".pls": "audio/x-scpls; charset=utf-8",
    ".xspf": "application/xspf+xml",
    ".jspf": "application/json",
    ".csv": "text/csv; charset=utf-8",
}
T = TypeVar("T")


def media_type_of(name: str) -> str:
    """What a stored file is, for browsers and players."""
    return _MEDIA_TYPES.get(f".{name.rpartition('.')[2]}", "application/octet-stream")


class ExportWorkers:
    """Where the exports of one process are made: two at a time, and one for each user."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._users: set[int] = set()

    @contextmanager
    def _held(self, user_id: int) -> Iterator[None]:
        if user_id in self._users:
            raise Problem(
                429, "too-many-exports", "Another export of yours is being made; wait for it.",
                headers={"Retry-After": "5"},
            )  # fmt: skip
        self._users.add(user_id)
        try:
            yield
        finally:
            self._users.discard(user_id)

    async def work(self, user_id: int, work: Callable[[], T]) -> T:
        """Raises Problem 429 while one of this user's is under way."""
        with self._held(user_id):
            async with self._places:
                return await run_in_threadpool(work)


@dataclass(frozen=True, kw_only=True)
class KeptExport:
    """A file that is there, and what fetches it: `link`, the store's own where it has one, and `path` on this site."""

    file_name: str
    bytes: int
    made_at: datetime
    kept_until: datetime
    link: str
    path: str
    link_expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class MadeExport:
    """`playlists` and `entries` are those in the file; `left_out`: lists whose entries were never read."""

    kept: KeptExport
    playlists: int
    entries: int
    left_out: int


ExportWork = Callable[[Connection], MadeExport]


def export_playlists(
    site: Site, visitor: Visitor, *, format_key: str, address: str, formula_guard: bool = True
) -> ExportWork:
    """All of a user's lists as a ZIP, for `in_export_place`. Its work raises Problem, BadInput."""

    def write(connection: Connection, out: BinaryIO) -> tuple[int, int, int]:
        made = export_all(
            connection, out, user_id=visitor.user_id, format_key=format_key, now=datetime.now(UTC),
            formula_guard=formula_guard, most_bytes=site.settings.artifacts_quota_bytes,
        )  # fmt: skip
        return len(made.playlists), made.entries, len(made.left_out)

    return partial(
        _make, site=site, visitor=visitor, stem=f"playlists-{format_key}", suffix=".zip", address=address, write=write
    )  # fmt: skip


def export_playlist(
    site: Site,
    visitor: Visitor,
    *,
    playlist_id: int,
    version_no: int | None,
    format_key: str,
    address: str,
    formula_guard: bool = True,
) -> ExportWork:
    """One list as it is or was. Its work raises Problem, BadInput (its place is "playlist" if it is not the user's)."""

    def write(connection: Connection, out: BinaryIO) -> tuple[int, int, int]:
        made = export_one(
            connection, out, user_id=visitor.user_id, playlist_id=playlist_id, version_no=version_no,
            format_key=format_key, formula_guard=formula_guard,
        )  # fmt: skip
        return 1, made.entries, 0

    stem = f"playlist-{playlist_id}" + (f"-version-{version_no}" if version_no is not None else "")
    return partial(
        _make, site=site, visitor=visitor, stem=f"{stem}-{format_key}", suffix=FORMATS[format_key].suffixes[0],
        address=address, write=write,
    )  # fmt: skip


async def in_export_place(site: Site, visitor: Visitor, work: Callable[[Connection], T]) -> T:
    """Do what makes an export, with a connection for it alone: it may take longer than others wait for one. Raises
    Problem 429 while one of this user's is under way, 507 without room, and what `work` raises.
    """

    def run() -> T:
        with closing(site.warehouse.connect(Role.APP, autocommit=True, application_name="myi export")) as connection:
            return work(connection)

    try:
        return await site.exports.work(visitor.user_id, run)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room() from error
        raise


async def kept_exports(site: Site, visitor: Visitor) -> list[KeptExport]:
    """What is there of this user's, newest first. Raises Transient, Permanent."""
    return await run_in_threadpool(_kept, site, visitor.user_id)


def _kept(site: Site, user_id: int) -> list[KeptExport]:
    store = open_store(site.settings)
    # Exports of everything have a page of their own (take_away.py).
    files = [file for file in store.files(user_id) if not file.name.startswith(f"{FILE_STEM}-")]
    return [_shown(site, store, file) for file in files]


def _shown(site: Site, store: FileStore, file: StoredFile) -> KeptExport:
    expires_at = int(time.time()) + LINK_LASTS_S
    path = site.links.address(file.user_id, file.name, expires_at=expires_at)
    return KeptExport(
        file_name=file.name,
        bytes=file.size_bytes,
        made_at=file.stored_at,
        kept_until=file.stored_at + timedelta(days=site.settings.artifacts_days),
        link=store.link(file.user_id, file.name, expires_in_s=LINK_LASTS_S) or f"{site.settings.site_url}{path}",
        path=path,
        link_expires_at=datetime.fromtimestamp(expires_at, UTC),
    )


def _make(
    connection: Connection,
    *,
    site: Site,
    visitor: Visitor,
    stem: str,
    suffix: str,
    address: str,
    write: Callable[[Connection, BinaryIO], tuple[int, int, int]],
) -> MadeExport:
    settings, user_id = site.settings, visitor.user_id
    # It cannot be guessed, and two of one second are two.
    name = f"{stem}-{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(6)}{suffix}"
    folder = settings.artifacts_folder
    if folder is not None:
        DiskGuard((folder,), settings.disk_floor_mb * MIB).check()
    store = open_store(settings)
    with store.writing(user_id, name, media_type_of(name)) as out:
        playlists, entries, left_out = write(connection, out)
    make_room(store, user_id, quota_bytes=settings.artifacts_quota_bytes, keep=name)
    file = next((each for each in store.files(user_id) if each.name == name), None)
    if file is None:
        raise BadInput("the export was deleted while it was made", place="export")
    detail = {"file": name, "playlists": playlists}
    audit.record(connection, Event.EXPORT_MADE, user_id=user_id, address=address, detail=detail)
    return MadeExport(kept=_shown(site, store, file), playlists=playlists, entries=entries, left_out=left_out)

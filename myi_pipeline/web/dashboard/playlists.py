"""A person's playlists, and one of them: plays per track, who added it, changes, lists with the same tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.playlists.file_inbox import MOST_BYTES
from myi_pipeline.playlists.files import FORMATS, Reading
from myi_pipeline.playlists.store import FILE
from myi_pipeline.providers.accounts import ProviderAccount, list_accounts
from myi_pipeline.web.dashboard.inputs import id_in_path, missing
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.paging import place_of
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.pictures import pictures_of_lists
from myi_pipeline.web.reads import playlists as reads
from myi_pipeline.web.reads.cursors import FIRST_PAGE
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.playlists import OverlapRow, PlaylistChangeRow, PlaylistItemRow, PlaylistRow
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.formats import day, month
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

_LISTS_A_PAGE = 100
# What the upload form offers; Spotify's account data is JSON.
SUFFIXES = (*dict.fromkeys(suffix for each in FORMATS.values() for suffix in each.suffixes), ".json", ".zip")
_ITEMS_A_PAGE = 100
_REMOVED_A_PAGE = 100
_CHANGES_SHOWN = 20
_REMOVED_SHOWN = 10
_LISTS_SHOWN = 12
_NONE = "You have no such playlist."
# A track that was not played for this long gets a remark.
_LONG_AGO = timedelta(days=60)

# Names of the mart's changes for people; entries are added, removed and moved.
_WORDS = {
    "created": "first seen",
    "described": "description changed",
    "owner": "new owner",
    "readable": "available again",
    "unreadable": "tracks no longer shown",
    "gone": "left your library",
}
# The same of a list that is no service's.
_OWN_WORDS = {"readable": "brought back", "gone": "removed"}
# Names of the services with playlists, and how the addresses of their pages begin.
_PROVIDERS = {
    "spotify": "Spotify", "tidal": "TIDAL", "deezer": "Deezer", "youtube_music": "YouTube Music", "file": "a file",
}  # fmt: skip
_THEIR_PAGES = (
    "https://open.spotify.com/", "https://tidal.com/", "https://listen.tidal.com/", "https://www.deezer.com/",
    "https://music.youtube.com/",
)  # fmt: skip


def words_of(change: PlaylistChangeRow, provider: str | None = None) -> str:
    """A description of what happened."""
    if provider == FILE and change.change in _OWN_WORDS:
        return _OWN_WORDS[change.change]
    if change.change != "visibility":
        return _WORDS.get(change.change, change.change)
    if change.value_after == change.value_before:
        return "collaboration switched on or off"
    return {"true": "made public", "false": "made private"}.get(change.value_after or "", "visibility unknown")


def last_played(row: PlaylistItemRow, zone: tzinfo, now: datetime) -> str:
    """When it was last played, in words; empty for entries whose plays are unknown."""
    if row.content_id is None:
        return ""
    if row.last_played_at is None:
        return "never played"
    played_on = row.last_played_at.astimezone(zone).date()
    if now - row.last_played_at > _LONG_AGO:
        return f"not played since {month(played_on)}"
    return day(played_on)


def added_by(row: PlaylistItemRow, listed: PlaylistRow) -> str:
    """Who added it: the owner by name, others by the service's id. Empty where it is obvious."""
    if row.added_by is None or (row.added_by == listed.owner_id and not listed.is_collaborative):
        return ""
    if row.added_by == listed.owner_id and listed.owner_name:
        return listed.owner_name
    return row.added_by


def origin_of(listed: PlaylistRow | OverlapRow, accounts: Sequence[ProviderAccount]) -> str:
    """Where it is from, to follow a name: "from Spotify", "made by MYI". The account is named where one service has
    several, each of which has its liked songs.
    """
    if listed.is_made:
        return "made by MYI"
    account = next((each for each in accounts if each.account_id == listed.account_id), None)
    if account is None or sum(each.provider is account.provider for each in accounts) == 1:
        return f"from {_PROVIDERS.get(listed.provider, listed.provider)}"
    return f"from {account.title}" if account.name else f"from {account.title} {account.account_id}"


async def accounts_of(site: Site, user_id: int) -> tuple[ProviderAccount, ...]:
    """Those that were unlinked as well: their lists are kept."""
    return await site.pools.in_thread(list_accounts, user_id=user_id, with_ended=True)


def page_at_service(listed: PlaylistRow) -> str | None:
    """Its page at the service; None if the address leads anywhere else."""
    return listed.url if listed.url and listed.url.startswith(_THEIR_PAGES) else None


@router.get("/playlists")
async def playlists(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    return await show_list(request, person, site)


async def show_list(
    request: Request,
    person: Visitor,
    site: Site,
    *,
    trouble: str | None = None,
    taken: Sequence[Reading] = (),
    path: str | None = None,
) -> HTMLResponse:
    """The list of playlists, after its upload form: why the file was refused, or what was taken of it."""
    place = place_of(request, site, person.user_id)

    async def build(marts: Marts) -> Mapping[str, object]:
        rows = await reads.playlists(marts, after=place.after, limit=_LISTS_A_PAGE + 1)
        more = len(rows) > _LISTS_A_PAGE
        rows = rows[:_LISTS_A_PAGE]
        following = place.next(reads.PLAYLISTS.keys_of(rows[-1])) if more else None
        covers = await reads.playlist_covers(marts, [row.playlist_id for row in rows])
        names = Counter(row.name for row in rows)
        origins = {row.playlist_id: origin_of(row, accounts) for row in rows if row.is_made or names[row.name] > 1}
        return {"rows": rows, "origins": origins, "covers": covers, "first_page": place.first, "next_page": following}

    accounts = await accounts_of(site, person.user_id)
    pictures = await pictures_of_lists(site, person.user_id)
    about = {
        "trouble": trouble,
        "taken": sum(len(reading.playlists) for reading in taken),
        "warnings": [warning for reading in taken for warning in reading.warnings],
        "most_bytes": MOST_BYTES,
        "suffixes": SUFFIXES,
    }
    return await show_marts(
        request, person, site, "playlists.html", build, pictures=pictures, path=path, **about
    )  # fmt: skip


@router.get("/playlists/{playlist_id}")
async def playlist(request: Request, person: Person, site: TheSite, playlist_id: str) -> HTMLResponse:
    number = id_in_path(playlist_id, what="playlist")
    place = place_of(request, site, person.user_id)
    now = datetime.now(UTC)

    async def build(marts: Marts) -> Mapping[str, object]:
        found = await reads.playlist(marts, number)
        if found is None:
            raise missing(_NONE)
        rows = await reads.playlist_items(marts, number, after=place.after, limit=_ITEMS_A_PAGE + 1)
        more = len(rows) > _ITEMS_A_PAGE
        rows = rows[:_ITEMS_A_PAGE]
        months = await reads.playlist_plays(marts, number)
        changes = await reads.playlist_changes(marts, number, after=FIRST_PAGE, limit=_CHANGES_SHOWN)
        removed = await reads.playlist_removed(marts, number, after=FIRST_PAGE, limit=_REMOVED_SHOWN + 1)
        covers = await reads.playlist_covers(marts, [number])
        overlap = await reads.playlist_overlap(marts, number, limit=_LISTS_SHOWN)
        return {
            "playlist": found,
            "covers": covers.get(number, []),
            "at_service": page_at_service(found),
            "service": _PROVIDERS.get(found.provider, found.provider),
            "origin": origin_of(found, accounts),
            "rows": [(row, added_by(row, found), last_played(row, person.zones, now)) for row in rows],
            "most": max((row.plays for row in rows), default=0),
            "plays": sum(month.plays for month in months),
            "months": months[-12:],
            "changes": [(each, words_of(each, found.provider)) for each in changes],
            "removed": removed[:_REMOVED_SHOWN],
            "has_more_removed": len(removed) > _REMOVED_SHOWN,
            "overlap": [(each, origin_of(each, accounts)) for each in overlap],
            "first_page": place.first,
            "next_page": place.next(reads.ITEMS.keys_of(rows[-1])) if more else None,
        }

    accounts = await accounts_of(site, person.user_id)
    picture = (await pictures_of_lists(site, person.user_id)).get(number)
    return await show_marts(request, person, site, "playlist.html", build, picture=picture)


@router.get("/playlists/{playlist_id}/removed")
async def removed(request: Request, person: Person, site: TheSite, playlist_id: str) -> HTMLResponse:
    """All its former entries."""
    number = id_in_path(playlist_id, what="playlist")
    place = place_of(request, site, person.user_id)

    async def build(marts: Marts) -> Mapping[str, object]:
        found = await reads.playlist(marts, number)
        if found is None:
            raise missing(_NONE)
        rows = await reads.playlist_removed(marts, number, after=place.after, limit=_REMOVED_A_PAGE + 1)
        shown = rows[:_REMOVED_A_PAGE]
        following = place.next(reads.CHANGES.keys_of(shown[-1])) if len(rows) > len(shown) else None
        return {"playlist": found, "rows": shown, "first_page": place.first, "next_page": following}

    return await show_marts(request, person, site, "playlist_removed.html", build)

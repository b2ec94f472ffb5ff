"""Plays of a recently-played page as records, ready to be loaded.

Belongs here: the fields that a play of the API has, checked and brought to the form of an archive's. Not here: loading.
Invariants: each item of a page becomes one record or one quarantined row; ms_played is None, since Spotify does not say
how long anybody listened; what leaves this module fits Postgres.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from myi_pipeline.core.plays import Content, ContentKind, PlayRecord, QuarantinedRow, make_content
from myi_pipeline.spotify.models import BadItem, PlayItem, RecentlyPlayedPage, Track

# Nobody could listen before; also the oldest month that gets a partition.
EARLIEST: Final = datetime(2006, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(days=1)
# The limit of archives' names too.
_LONGEST_NAME: Final = 2_000
_LARGEST_KEPT_ROW: Final = 4_096
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def play_records(page: RecentlyPlayedPage, *, now: datetime) -> list[PlayRecord | QuarantinedRow]:
    """One result per item, in the page's order; `row_index` is the item's place in it."""
    results: list[PlayRecord | QuarantinedRow] = [_record(entry.index, entry.play, now) for entry in page.entries]
    results.extend(_refused(bad, "bad_item", bad.detail) for bad in page.bad)
    return sorted(results, key=lambda result: result.row_index)


def parse_played_at(text: str) -> datetime | None:
    """An aware UTC time, to the millisecond as Spotify tells it; None when it is none."""
    try:
        moment = datetime.fromisoformat(text) if len(text) < 60 else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def track_content(track: Track) -> Content | None:
    """What was played: credited to the track's first artist. None for a removed track, which has neither uri nor name.

    For an episode the show's name is not told, so its publisher or album, if any, is the collection.
    """
    uri, title = clean_text(track.uri), clean_text(track.name)
    if uri is None and track.id and track.type in (None, "track"):
        uri = f"spotify:track:{clean_text(track.id)}"
    if uri is None and title is None:
        return None
    creator = next((clean_text(artist.name) for artist in track.artists if artist.name), None)
    collection = clean_text(track.album.name) if track.album is not None else None
    is_episode = (uri or "").startswith("spotify:episode:") or (uri is None and track.type == "episode")
    if is_episode:
        return make_content(
            kind=ContentKind.EPISODE, uri=uri, title=title, creator=None, collection=collection or creator
        )
    return make_content(kind=ContentKind.TRACK, uri=uri, title=title, creator=creator, collection=collection)


def _record(index: int, play: PlayItem, now: datetime) -> PlayRecord | QuarantinedRow:
    played_at = parse_played_at(play.played_at)
    item = BadItem(index, "", play.model_dump(mode="json", include={"played_at": True, "track": {"uri", "name"}}))
    if played_at is None:
        return _refused(item, "bad_timestamp", "played_at must be a time such as 2024-01-31T23:59:59.123Z.")
    if played_at < EARLIEST:
        return _refused(item, "too_early", "played_at lies before 2006, when nobody could listen yet.")
    if played_at >= now + AHEAD:
        return _refused(item, "in_the_future", "played_at lies more than a day ahead of now.")
    names = (play.track.uri, play.track.name, play.track.album and play.track.album.name)
    if any(len(name) > _LONGEST_NAME for name in names if name):
        return _refused(item, "text_too_long", f"A name has more than {_LONGEST_NAME:,} characters.")
    return PlayRecord(
        row_index=index,
        played_at=played_at,
        content=track_content(play.track),
        ms_played=None,
        context=None,
        offline_at=None,
        shuffle=None,
        skipped=None,
        offline=None,
        incognito=None,
    )


def clean_text(text: str | None) -> str | None:
    """Text that Postgres can store; None for none."""
    return _NOT_STORABLE.sub("\ufffd", text) or None if text else None


def _refused(bad: BadItem, reason: str, detail: str) -> QuarantinedRow:
    # ASCII only, so that no lone surrogate is left; NUL is the one escape that a jsonb column refuses.
    text = json.dumps(bad.item, allow_nan=False, default=str).replace("\\u0000", "\\ufffd")
    text = re.sub(r"\\ud[89a-f][0-9a-f]{2}", r"\\ufffd", text)
    kept = json.loads(text) if len(text) <= _LARGEST_KEPT_ROW else {"omitted": "the row is too large to keep"}
    return QuarantinedRow(bad.index, reason, detail, kept)

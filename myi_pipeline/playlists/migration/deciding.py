"""A person's decisions on entries, matched or not: they apply to this migration and to later ones until they are taken
back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files.addresses import uri_of
from myi_pipeline.playlists.migration import item_rows, locks, store
from myi_pipeline.playlists.migration.item_rows import Matched
from myi_pipeline.playlists.migration.journal import StoredJournal
from myi_pipeline.playlists.migration.store import Migration
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.tidal.models import identifier_of, uri_of_address
from myi_pipeline.providers.youtube_music.models import video_id

_LONGEST_URI = 400
_LEFT_OUT = "left_out"
_SPOTIFY = re.compile(r"spotify:track:[0-9A-Za-z]{22}", re.ASCII)
# How people can name a track: by its URI, or its address in the service's own app.
_FORMS = {
    Provider.SPOTIFY: "spotify:track:ID or https://open.spotify.com/track/ID",
    Provider.TIDAL: "tidal:track:ID or https://tidal.com/track/ID",
    Provider.YOUTUBE_MUSIC: "youtube:video:ID or https://music.youtube.com/watch?v=ID",
}


class UnknownEntry(BadInput):
    """`position` counts from 0, as programs do; the message from 1, as people do."""

    def __init__(self, migration_id: int, position: int) -> None:
        super().__init__(f"migration {migration_id} has no entry {position + 1}", place="entry")
        self.position = position


def checked_uri(provider: str, text: str) -> str:
    """The URI of a track, from its URI or its address in the service's own app. Raises BadInput."""
    service, text = Provider(provider), text.strip()
    uri = ""
    if 0 < len(text) <= _LONGEST_URI:
        uri = uri_of_address(text) if service is Provider.TIDAL else uri_of(text)
    if not _is_track(service, uri):
        rule = _FORMS.get(service, "")
        raise BadInput(f"{text[:60]!r} is not a track of {service.label}: use {rule}", place="uri", rule=rule)
    return uri


def _is_track(service: Provider, uri: str) -> bool:
    match service:
        case Provider.SPOTIFY:
            return _SPOTIFY.fullmatch(uri) is not None
        case Provider.TIDAL:
            return identifier_of(uri) is not None
        case Provider.YOUTUBE_MUSIC:
            return video_id(uri) is not None
        case _:
            return False


def decide(
    connection: Connection, *, migration: Migration, position: int, kind: str, uri: str | None, now: datetime
) -> None:
    """Decide that the entry `is` this track, is `never` this track, or is `unavailable`. If that leaves something to
    add, a migration that was applied becomes incomplete again, and from then on only adds. Once nothing is left that
    was not applied, it is done again. Raises BadInput and Busy.
    """
    decided_uri = None if kind == "unavailable" else checked_uri(migration.provider, uri or "")
    with locks.migration_lock(connection, migration) as found:
        _check_open(connection, found, now=now)
        entry, equal = _entry(connection, found, position)
        with connection.transaction(), _following(connection, found) as follows:
            if entry.content_id is not None:
                connection.execute(
                    "insert into app.match_decisions (user_id, provider, content_id, kind, uri, decided_at)"
                    " values (%s, %s, %s, %s, %s, %s)",
                    (found.user_id, found.provider, entry.content_id, kind, decided_uri, now),
                )
            for each in equal:
                _note(connection, found, each, kind=kind, uri=decided_uri)
            follows.has_more = kind == "is" and any(each.uri != decided_uri for each in equal)


def leave_out(connection: Connection, *, migration: Migration, position: int, now: datetime) -> None:
    """Leave the entry out of this migration, without a decision on its track. Raises BadInput and Busy."""
    with locks.migration_lock(connection, migration) as found:
        _check_open(connection, found, now=now)
        _entry(connection, found, position)
        values = {"migration_id": found.migration_id, "position": position}
        with connection.transaction(), _following(connection, found):
            connection.execute(load_sql("playlists/migration_leave_out"), values)


def take_back(connection: Connection, *, migration: Migration, position: int, now: datetime) -> None:
    """Take a left-out entry back in. Otherwise undo all decisions on the entry's track, for equal entries too, in this
    migration and earlier ones: a match carried over from an earlier migration then becomes missing, and the next plan
    looks for it. Raises BadInput and Busy.
    """
    with locks.migration_lock(connection, migration) as found:
        _check_open(connection, found, now=now)
        entry, equal = _entry(connection, found, position)
        undo = "playlists/migration_undo_item"
        if entry.reason == _LEFT_OUT:
            undo, equal = "playlists/migration_take_along", [entry]
        with connection.transaction(), _following(connection, found) as follows:
            if entry.reason != _LEFT_OUT and entry.content_id is not None:
                connection.execute(
                    "update app.match_decisions set undone_at = %s"
                    " where user_id = %s and provider = %s and content_id = %s and undone_at is null",
                    (now, found.user_id, found.provider, entry.content_id),
                )
            for each in equal:
                values = {"migration_id": found.migration_id, "position": each.position}
                row = connection.execute(load_sql(undo), values).fetchone()
                follows.has_more = follows.has_more or (row is not None and row[0] not in (None, each.uri))


@dataclass
class _Follows:
    has_more: bool = False


@contextmanager
def _following(connection: Connection, migration: Migration) -> Iterator[_Follows]:
    """What follows for a migration that was applied: with `has_more` it is incomplete; without anything that was not
    applied it is done again.
    """
    number = migration.migration_id
    applied = store.applied_entries(connection, migration_id=number) if migration.state == "done" else None
    follows = _Follows()
    yield follows
    if migration.state == "planned":
        return
    if follows.has_more:
        store.note_more_to_add(connection, migration_id=number, applied=applied)
    store.note_done_again(connection, migration_id=number)


def _entry(connection: Connection, migration: Migration, position: int) -> tuple[Matched, list[Matched]]:
    """The entry at this position, and all entries with the same track including itself, except others that were left
    out. Raises BadInput.
    """
    matches = {each.position: each for each in item_rows.list_matches(connection, migration_id=migration.migration_id)}
    entry = matches.get(position)
    if entry is None:
        raise UnknownEntry(migration.migration_id, position)
    equal = [
        each
        for each in matches.values()
        if each is entry
        or (entry.content_id is not None and each.content_id == entry.content_id and each.reason != _LEFT_OUT)
    ]
    return entry, equal


def _check_open(connection: Connection, migration: Migration, *, now: datetime) -> None:
    number, state = migration.migration_id, migration.state
    if state == "cancelled":
        raise BadInput(f"migration {number} is cancelled: nothing can be decided any more", place="migration")
    if state in ("ordered", "failed"):
        raise BadInput(f"migration {number} is not planned: there is nothing to decide", place="migration")
    journal = StoredJournal(connection, migration_id=number, clock=lambda: now)
    if state == "applying" or not journal.is_settled():
        # The journal refers to places among the matched entries, which a decision would shift.
        raise BadInput(f"migration {number} is being applied: finish that first", place="migration")


def _note(connection: Connection, migration: Migration, entry: Matched, *, kind: str, uri: str | None) -> None:
    candidates = entry.candidates
    outcome, chosen, is_decided = entry.outcome, entry.uri, True
    if kind == "is":
        outcome, chosen = "matched", uri
    elif kind == "unavailable":
        outcome, chosen = "unavailable", None
    else:
        candidates = [each for each in candidates if each["uri"] != uri]
        if entry.uri == uri:
            outcome, chosen = ("ambiguous" if candidates else "missing"), None
        else:
            is_decided = entry.is_decided
            if outcome == "ambiguous" and not candidates:
                outcome = "missing"
    connection.execute(
        load_sql("playlists/migration_decide_item"),
        {
            "migration_id": migration.migration_id, "position": entry.position, "outcome": outcome, "uri": chosen,
            "is_decided": is_decided, "reason": "decided" if is_decided else entry.reason,
            "candidates": Jsonb(candidates),
        },
    )  # fmt: skip

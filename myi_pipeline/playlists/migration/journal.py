"""The journal of a migration's writes: each is committed before it is sent, and settled once its outcome is known.

`connection` is in autocommit, so every row is committed before anything that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.playlists.migration.applying import LastWrite, Sent
from myi_pipeline.playlists.migration.steps import Add, Fingerprint, Move, Remove, Replace, Step
from myi_pipeline.playlists.migration.steps import Outcome as Written
from myi_pipeline.playlists.migration.store import CancelAsked
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# Stands for a list whose state after the last write is unknown.
UNCLEAR = Fingerprint(-1, "")


@dataclass(frozen=True, kw_only=True)
class OpenCreation:
    """A creation whose outcome is unknown. `there`: playlists that already had the name before it was sent."""

    number: int
    key: str
    sent_at: datetime
    there: frozenset[str]


def added_of(connection: Connection, *, migration_id: int) -> int:
    """How many entries confirmed writes have added to the target."""
    values = {"migration_id": migration_id}
    row = connection.execute(load_sql("playlists/migration_added"), values).fetchone()
    return int(row[0]) if row is not None else 0


def requests_of(connection: Connection, *, migration_id: int) -> int:
    """How many writes were sent."""
    row = connection.execute(
        "select count(*) from app.migration_writes where migration_id = %s", (migration_id,)
    ).fetchone()
    return int(row[0]) if row else 0


def last_write_to(connection: Connection, *, account_id: int, playlist_id: str) -> LastWrite | None:
    """The last write of any migration to this list. None: nothing was written, or the list was read since."""
    values = {"account_id": account_id, "playlist_id": playlist_id}
    row = connection.execute(load_sql("playlists/migration_last_write"), values).fetchone()
    if row is None or row[0] == Written.CHANGED:
        return None
    is_known = row[0] == Written.CONFIRMED
    return LastWrite(Fingerprint(row[1], row[2]) if is_known else UNCLEAR, row[3])


class StoredJournal:
    """The Journal of one migration."""

    def __init__(
        self,
        connection: Connection,
        *,
        migration_id: int,
        clock: Callable[[], datetime],
        on_settled: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_settled` is called each time the outcome of a write becomes known."""
        self._connection = connection
        self._migration_id = migration_id
        self._clock = clock
        self._on_settled = on_settled

    def unsettled(self) -> Sent | None:
        found = self._open_write()
        return None if found is None or found["step"]["kind"] == "create" else _sent(found)

    def is_settled(self) -> bool:
        """Whether the outcome of every write is known."""
        return self._open_write() is None

    def last_left(self) -> Fingerprint | None:
        """The list as the last effective write left it; UNCLEAR if that is not known; None if nothing was written."""
        row = self._connection.execute(
            "select outcome, length_after, digest_after from app.migration_writes where migration_id = %s"
            " and outcome is distinct from 'not_done' and step ->> 'kind' <> 'create' order by write_no desc limit 1",
            (self._migration_id,),
        ).fetchone()
        if row is None:
            return None
        return Fingerprint(row[1], row[2]) if row[0] == Written.CONFIRMED else UNCLEAR

    def last_write(self) -> LastWrite | None:
        row = self._connection.execute(
            "select target_account_id, target_playlist from app.migrations where migration_id = %s",
            (self._migration_id,),
        ).fetchone()
        if row is None or row[1] is None:
            return None
        return last_write_to(self._connection, account_id=row[0], playlist_id=row[1])

    def unsettled_creation(self) -> OpenCreation | None:
        found = self._open_write()
        if found is None or found["step"]["kind"] != "create":
            return None
        return OpenCreation(
            number=found["write_no"], key=found["idempotency_key"], sent_at=found["sent_at"],
            there=frozenset(found["step"]["there"]),
        )  # fmt: skip

    def begin_creation(self, name: str, *, there: Collection[str]) -> OpenCreation:
        """`there`: playlists that already have the name."""
        number, key, now = self._begin({"kind": "create", "name": name, "there": sorted(there)}, None, None)
        return OpenCreation(number=number, key=key, sent_at=now, there=frozenset(there))

    def settle_creation(self, number: int, outcome: Written) -> None:
        self._settle(number, outcome)

    def begin(self, step: Step, *, before: Fingerprint, after: Fingerprint) -> Sent:
        number, key, now = self._begin(_step_document(step), before, after)
        return Sent(number, key, step, before, after, now)

    def settle(self, sent: Sent, outcome: Written, *, refused: Collection[int] = ()) -> None:
        with self._connection.transaction():
            self._settle(sent.number, outcome)
            if refused:
                # `refused` are places among the matched entries.
                self._connection.execute(
                    load_sql("playlists/migration_refused"),
                    {"migration_id": self._migration_id, "places": list(refused)},
                )
        self._on_settled()

    def refused(self) -> frozenset[int]:
        rows = self._connection.execute(
            "select place from (select is_refused, row_number() over (order by position) - 1 as place"
            " from app.migration_items where migration_id = %s and uri is not null) as numbered where is_refused",
            (self._migration_id,),
        )
        return frozenset(int(place) for (place,) in rows)

    def sent_places(self) -> frozenset[int]:
        rows = self._connection.execute(load_sql("playlists/migration_sent"), {"migration_id": self._migration_id})
        return frozenset(int(place) for (place,) in rows)

    def rename(self, names: Mapping[str, str]) -> None:
        # In one statement: a new URI may also be one of the old ones.
        self._connection.execute(
            "update app.migration_items as i set uri = named.new, sent_uri = coalesce(i.sent_uri, i.uri)"
            " from unnest(%s::text[], %s::text[]) as named (old, new) where i.migration_id = %s and i.uri = named.old",
            (list(names), [storable_text(new) for new in names.values()], self._migration_id),
        )

    def _open_write(self) -> dict[str, Any] | None:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                "select * from app.migration_writes where migration_id = %s and outcome is null", (self._migration_id,)
            ).fetchone()

    def _begin(
        self, document: dict[str, Any], before: Fingerprint | None, after: Fingerprint | None
    ) -> tuple[int, str, datetime]:
        key, now = f"myi-{uuid4()}", self._clock()
        row = self._connection.execute(
            load_sql("playlists/migration_begin_write"),
            {
                "migration_id": self._migration_id, "key": key, "step": Jsonb(document), "now": now,
                "length_before": before and before.length, "digest_before": before and before.digest,
                "length_after": after and after.length, "digest_after": after and after.digest,
            },
        ).fetchone()  # fmt: skip
        if row is None:
            raise CancelAsked(f"migration {self._migration_id} was cancelled: nothing more is written")
        return int(row[0]), key, now

    def _settle(self, number: int, outcome: Written) -> None:
        self._connection.execute(
            "update app.migration_writes set outcome = %s, settled_at = %s"
            " where migration_id = %s and write_no = %s and outcome is null",
            (outcome.value, self._clock(), self._migration_id, number),
        )


def _step_document(step: Step) -> dict[str, Any]:
    return {"kind": type(step).__name__.lower(), **asdict(step)}


def _sent(row: dict[str, Any]) -> Sent:
    before = Fingerprint(row["length_before"], row["digest_before"])
    after = Fingerprint(row["length_after"], row["digest_after"])
    return Sent(row["write_no"], row["idempotency_key"], _step(row["step"]), before, after, row["sent_at"])


def _step(document: dict[str, Any]) -> Step:
    match document["kind"]:
        case "add":
            return Add(document["at"], tuple(document["uris"]), tuple(document["wanted"]))
        case "move":
            return Move(document["start"], document["length"], document["before"])
        case "remove":
            return Remove(tuple(document["positions"]), tuple(document["uris"]))
        case _:
            return Replace(tuple(document["uris"]))

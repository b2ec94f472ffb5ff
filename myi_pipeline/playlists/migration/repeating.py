"""Runs of saved migrations, as jobs carry them out: which are due, what earlier runs already know, and whether there is
anything to write.

A run is planned and applied automatically: entries in doubt wait for the user without holding up the rest. If a run
cannot continue, the saved migration is paused, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row, dict_row

from myi_pipeline.people.audit import Event, record
from myi_pipeline.playlists.migration import item_rows, job_orders, store
from myi_pipeline.playlists.migration.item_rows import FoundItems
from myi_pipeline.playlists.migration.moving import Matching
from myi_pipeline.playlists.migration.planning import plan_additions, plan_equal
from myi_pipeline.playlists.migration.store import Migration, PlaylistTaken
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.providers.playlists import Capabilities

EVERY = timedelta(days=1)
# Per saved migration.
KEPT_RUNS = 20
_MOST_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class SavedOfRun:
    """The saved migration that a run belongs to. `earlier_id`: the last run that wrote, or had nothing to write."""

    saved_id: int
    is_equal: bool
    target_before: list[str]
    earlier_id: int | None


def saved_of(connection: Connection, migration: Migration) -> SavedOfRun | None:
    """The saved migration that this is a run of; None if it is not, or no longer, a run of one."""
    with connection.cursor(row_factory=class_row(SavedOfRun)) as cursor:
        values = {"migration_id": migration.migration_id}
        return cursor.execute(load_sql("playlists/saved_of_run"), values).fetchone()


def order_due(connection: Connection, *, now: datetime) -> tuple[int, ...]:
    """Check the saved migrations that were not checked for a day, and order a run of each that has news. Returns the
    runs' numbers.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        values = {"before": now - EVERY, "limit": _MOST_AT_ONCE}
        due = cursor.execute(load_sql("playlists/saved_due"), values).fetchall()
    made = []
    for each in due:
        try:
            with connection.transaction():
                claimed = connection.execute(
                    "update app.saved_migrations set looked_at = %s, source_name = %s"
                    " where saved_id = %s and looked_at <= %s and paused_at is null",
                    (now, store.cut_name(each["source_name"]), each["saved_id"], now - EVERY),
                ).rowcount  # fmt: skip
                if not claimed or not each["has_news"]:
                    continue
                number = job_orders.order_run(
                    connection, user_id=each["user_id"], saved_id=each["saved_id"],
                    source=(each["source_playlist_id"], each["version_no"], each["source_name"]),
                    target_account_id=each["target_account_id"], target_playlist=each["target_playlist"],
                    target_name=each["target_name"], is_equal=each["is_equal"], now=now,
                )  # fmt: skip
                detail = {"migration": number, "saved": each["saved_id"], "service": each["provider"]}
                record(connection, Event.MIGRATION_ORDERED, user_id=each["user_id"], detail=detail)
        except PlaylistTaken:
            # Another migration uses the playlist: wait for the next check.
            continue
        made.append(number)
    return tuple(made)


def prune(connection: Connection, *, saved_id: int) -> None:
    """Delete the oldest runs of a saved migration. For the role `ingest`."""
    connection.execute(load_sql("playlists/saved_prune"), {"saved_id": saved_id, "kept": KEPT_RUNS})


def note_plan(
    connection: Connection,
    migration: Migration,
    saved: SavedOfRun,
    found: Matching,
    items: FoundItems,
    *,
    capabilities: Capabilities,
    now: datetime,
) -> None:
    """Store a run's plan and what follows: it is applied, it is done, or its saved migration is paused. Raises
    CancelAsked.
    """
    number = migration.migration_id
    with connection.transaction():
        job_orders.note_plan(
            connection, migration_id=number, target_before=found.before if saved.is_equal else saved.target_before,
            target_now=None if saved.is_equal else found.before, were_there=found.were_there, found=items,
            capabilities=capabilities, note=found.note, now=now,
        )  # fmt: skip
        if saved.earlier_id is not None:
            connection.execute(
                load_sql("playlists/migration_leave_out_again"),
                {"migration_id": number, "earlier_id": saved.earlier_id},
            )
        wanted = item_rows.uris_to_hold(connection, migration_id=number)
        if saved.is_equal:
            plan = plan_equal(found.before, wanted, capabilities)
        else:
            plan = plan_additions(found.before, wanted, capabilities, before=saved.target_before)
        reason = plan.impossible or (_by_hand(connection, saved, found, wanted) if saved.is_equal else "")
        if reason:
            connection.execute(
                "update app.migrations set last_error = %s where migration_id = %s", (store.kept_reason(reason), number)
            )
            job_orders.pause_saved(connection, saved_id=saved.saved_id, reason=reason, now=now)
        elif not plan.steps:
            store.note_state(connection, migration_id=number, state="done", now=now)
        else:
            values = {"user_id": migration.user_id, "migration_id": number, "now": now}
            connection.execute(load_sql("playlists/migration_order_apply"), values)
            wake(connection, Wake.MIGRATIONS)


def count_by_hand(before: Sequence[str], *, wanted: Sequence[str], ours: Sequence[str]) -> int:
    """How many entries that somebody else added (they are not `ours`) would be removed by making the list `wanted`."""
    # The union takes the larger of the two counts: an entry that is both wanted and ours counts once.
    return (Counter(before) - (Counter(wanted) | Counter(ours))).total()


def _by_hand(connection: Connection, saved: SavedOfRun, found: Matching, wanted: tuple[str, ...]) -> str:
    """Why the list must not be made equal: it would remove entries that none of the runs added. Empty if it may be."""
    ours: tuple[str, ...] = ()
    if saved.earlier_id is not None:
        ours = item_rows.uris_to_hold(connection, migration_id=saved.earlier_id)
    theirs = count_by_hand(found.before, wanted=wanted, ours=ours)
    if not theirs:
        return ""
    are = "entry was" if theirs == 1 else "entries were"
    return (
        f"{theirs:,} {are} added to the playlist by somebody else, and would be removed: if that is intended, apply"
        " this run by hand, then resume"
    )

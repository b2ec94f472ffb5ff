"""How a user's rows are erased, for every table that may contain any.

For most tables, a foreign key to app.users, or to a table that has one, deletes their rows with the user. The others
are listed here with what deletes them, or why they contain no user's rows. A table with neither fails a test, so that
its author decides what happens to it in an erasure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

SCHEMAS = ("app", "ops", "raw", "load")


class Erased(StrEnum):
    """By what."""

    TRIGGER = "a trigger of app.users"
    ERASURE = "the transaction of operations/erase_users"
    REMOVAL = "operations/remove_users, the last thing of all"
    NAMES = "ops.delete_orphans, where nobody else's rows name it"
    REFRESH = "the next refresh, which closes the change ledger"


ERASED: Mapping[str, Erased] = {
    "app.users": Erased.ERASURE,
    "app.audit": Erased.ERASURE,
    "raw.listening_events": Erased.TRIGGER,
    "raw.covered_spans": Erased.TRIGGER,
    "raw.poll_gaps": Erased.TRIGGER,
    "raw.polled_spans": Erased.TRIGGER,
    "ops.quarantine": Erased.TRIGGER,
    "ops.removals": Erased.REMOVAL,
    "ops.orphans": Erased.REMOVAL,
    "raw.contents": Erased.NAMES,
    "raw.content_aliases": Erased.NAMES,
    "raw.contexts": Erased.NAMES,
    "raw.artists": Erased.NAMES,
    "raw.albums": Erased.NAMES,
    "raw.pictures": Erased.NAMES,
    "raw.kept_pictures": Erased.NAMES,
    "raw.picture_files": Erased.NAMES,
    "ops.picture_fetches": Erased.NAMES,
    "ops.catalogue_queue": Erased.NAMES,
    "ops.content_blocks": Erased.REFRESH,
    "ops.content_recordings": Erased.REFRESH,
    "ops.musicbrainz_queue": Erased.NAMES,
    "raw.found_recordings": Erased.NAMES,
    "raw.musicbrainz_recordings": Erased.NAMES,
    "raw.musicbrainz_artists": Erased.NAMES,
    "raw.musicbrainz_credits": Erased.NAMES,
    "raw.musicbrainz_votes": Erased.NAMES,
    "ops.changed_days": Erased.REFRESH,
    "ops.changed_contents": Erased.REFRESH,
    "ops.changed_users": Erased.REFRESH,
    "ops.changed_facts": Erased.REFRESH,
    "ops.changed_playlists": Erased.REFRESH,
    "ops.mart_run_api_days": Erased.REFRESH,
    "ops.mart_run_changes": Erased.REFRESH,
    "ops.mart_run_contents": Erased.REFRESH,
    "ops.mart_run_days": Erased.REFRESH,
    "ops.mart_run_facts": Erased.REFRESH,
    "ops.mart_run_playlists": Erased.REFRESH,
    "ops.mart_run_users": Erased.REFRESH,
    "ops.touched_dates": Erased.REFRESH,
    "ops.touched_entities": Erased.REFRESH,
    "ops.touched_recordings": Erased.REFRESH,
    # Its rows tell the refresh which songs lose plays.
    "ops.user_recordings": Erased.REFRESH,
}

NOBODYS: Mapping[str, str] = {
    "app.dagster_links": "the operator's way into Dagster, for minutes",
    "app.dagster_sessions": "the operator's browsers in Dagster",
    "ops.erasures": "receipts, which name nobody",
    "ops.alembic_version": "the version of the schema",
    "ops.backups": "backups of this whole installation",
    "ops.installation": "the number of this installation, by which it knows its backups",
    "ops.run_heartbeats": "processes of this installation",
    "ops.celery_workers": "processes of this installation",
    "ops.catalogue_state": "how far the catalogue is looked up",
    "ops.mart_fence": "the number of a refresh",
    "ops.mart_run_models": "how long models took",
    "ops.mart_runs": "refreshes of everybody",
    "ops.mart_state": "the last refresh",
    "ops.quota_blocks": "requests of this installation, counted by app",
    "ops.quota_calls": "requests of this installation, counted by app",
    "ops.quota_clients": "apps of this installation",
    "ops.service_paces": "requests of this installation, counted by service",
    "ops.service_units": "requests of this installation, counted by service",
    "ops.musicbrainz_loads": "MusicBrainz' own dumps",
    "ops.musicbrainz_state": "how far MusicBrainz was asked",
    "ops.recording_rules": "which rules hold",
    "raw.content_kinds": "kinds of content",
    "raw.sources": "kinds of sources",
    "raw.musicbrainz_tags": "MusicBrainz' words, whoever hears them",
}


def cascading_tables(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Tables whose rows go with another's by a foreign key, and those others."""
    found: dict[str, list[str]] = {}
    for table, parent in connection.execute(load_sql("operations/removals/cascades")).fetchall():
        found.setdefault(table, []).append(parent)
    return {table: tuple(parents) for table, parents in found.items()}


def undecided_tables(connection: Connection) -> tuple[str, ...]:
    """Tables that do not say how a user's rows in them are erased."""
    cascades = cascading_tables(connection)
    said = {"app.users", *ERASED, *NOBODYS}
    while more := {table for table, parents in cascades.items() if table not in said and said & set(parents)}:
        said |= more
    query = (
        "select format('%%I.%%I', n.nspname, c.relname) from pg_class as c"
        " inner join pg_namespace as n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = any(%s) order by 1"
    )
    tables = [row[0] for row in connection.execute(query, (list(SCHEMAS),))]
    return tuple(table for table in tables if table not in said)

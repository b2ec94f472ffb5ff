"""Marts for tests: one database and one process of dbt for the whole session.

`marts` is empty at the start of every test; plays go into raw as a loader would put them there, through the ledger's
triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
import pytest

from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.marts.dbt_runner import DbtProcess, DbtRunner, dbt_environment, project
from myi_pipeline.marts.refresh import RefreshResult, refresh_marts
from myi_pipeline.marts.verify import VerifyResult, verify_marts
from myi_pipeline.postgres.connections import Role, Warehouse

EMPTY = """
delete from app.users;
delete from ops.orphans;
delete from ops.removals;
delete from raw.content_aliases;
delete from raw.listening_events;
delete from raw.covered_spans;
delete from raw.polled_spans;
delete from raw.poll_gaps;
delete from raw.musicbrainz_recordings;
delete from raw.musicbrainz_artists;
delete from raw.musicbrainz_votes;
delete from raw.musicbrainz_tags;
delete from raw.contents;
delete from raw.albums;
delete from raw.artists;
delete from ops.changed_days;
delete from ops.changed_contents;
delete from ops.changed_users;
delete from ops.touched_dates;
delete from ops.touched_entities;
delete from ops.touched_recordings;
delete from ops.content_blocks;
delete from ops.content_recordings;
delete from ops.user_recordings;
delete from raw.found_recordings;
delete from ops.mart_run_changes;
delete from ops.mart_run_days;
delete from ops.mart_run_api_days;
delete from ops.mart_run_contents;
delete from ops.mart_run_users;
delete from ops.mart_run_facts;
delete from ops.changed_facts;
delete from ops.mart_run_playlists;
delete from ops.changed_playlists;
delete from ops.mart_runs;
select ops.ensure_event_partitions('2023-12-01', '2024-12-01');
"""
# To truncate a table means new files for it and for each of its indexes.
EMPTY_MARTS = """
do $$
declare
    mart text;
    has_rows boolean;
begin
    for mart in
        select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('marts', 'intermediate')
    loop
        execute format('select exists (select from %s)', mart) into has_rows;
        if has_rows and pg_relation_size(mart) > 1000000 then
            execute format('truncate %s', mart);
        elsif has_rows then
            execute format('delete from %s', mart);
        end if;
    end loop;
end
$$
"""


@dataclass(frozen=True)
class Marts:
    warehouse: Warehouse
    dbt: DbtRunner
    environment: dict[str, str]
    # One for each role: a test makes some hundred statements, and connecting takes longer than most of them.
    connections: dict[Role, psycopg.Connection[Any]] = field(default_factory=dict, repr=False)

    def sql(self, query: str, *arguments: object, role: Role = Role.OWNER) -> list[tuple[Any, ...]]:
        with self.connection(role).transaction():
            cursor = self.connection(role).execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def connection(self, role: Role) -> psycopg.Connection[Any]:
        if role not in self.connections or self.connections[role].closed:
            self.connections[role] = self.warehouse.connect(role, autocommit=True)
            # A refresh may replace the table that a prepared statement knows.
            self.connections[role].prepare_threshold = None
        return self.connections[role]

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()

    def read(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """As the analyst, who sees every row of the marts."""
        return self.sql(query, *arguments, role=Role.ANALYST)

    def add_user(self, key: str, time_zone: str = "UTC") -> int:
        query = "insert into app.users (user_key, time_zone) values (%s, %s) returning user_id"
        return int(self.sql(query, key, time_zone)[0][0])

    def add_content(
        self,
        title: str | None,
        creator: str | None = "Artist",
        *,
        uri: str | None = None,
        album: str | None = None,
        kind: ContentKind = ContentKind.TRACK,
        duration_ms: int | None = None,
    ) -> int:
        """A content with its artist and album, as the loader interns it; without `uri` it is known by name only."""
        made = make_content(kind=kind, uri=uri, title=title, creator=creator, collection=album)
        artist_id = album_id = None
        if creator is not None and kind is ContentKind.TRACK:
            artist_id = self._intern("artists", "artist_key", creator, "name", creator)
            if album is not None:
                album_id = self._intern(
                    "albums", "album_key", f"{creator}/{album}", "name, artist_id", album, artist_id
                )
        return int(
            self.sql(
                "insert into raw.contents (content_key, kind_id, uri, title, creator, collection, match_title,"
                " match_key, artist_id, album_id, duration_ms, names_played_at, names_batch_id)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '2024-01-01Z', 1) returning content_id",
                *made[:2], uri, title, creator, album, made.match_title, made.match_key,
                artist_id, album_id, duration_ms,
            )[0][0]
        )  # fmt: skip

    def _intern(self, table: str, key: str, text: str, columns: str, *values: object) -> int:
        holders = ", ".join("%s" for _ in values)
        entity_id = table[:-1] + "_id"
        self.sql(
            f"insert into raw.{table} ({key}, {columns}) values (md5(%s)::uuid, {holders}) on conflict do nothing",
            text, *values,
        )  # fmt: skip
        return int(self.sql(f"select {entity_id} from raw.{table} where {key} = md5(%s)::uuid", text)[0][0])

    def add_play(
        self,
        user_id: int,
        played_at: str | datetime,
        content_id: int | None = None,
        ms_played: int | None = 180_000,
        *,
        source: int = 1,
        batch: int = 1,
        occurrence: int = 0,
        connection: psycopg.Connection[Any] | None = None,
    ) -> None:
        query = (
            b"insert into raw.listening_events"
            b" (user_id, played_at, content_id, ms_played, source_id, batch_id, occurrence)"
            b" values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
        )
        values = (user_id, played_at, content_id, ms_played, source, batch, occurrence)
        if connection is not None:
            connection.execute(query, values)
        else:
            self.sql(query.decode(), *values)

    def refresh(self, **options: Any) -> RefreshResult:
        return refresh_marts(
            self.warehouse, dbt=self.dbt, environment=self.environment, **{"run_tests": False, **options}
        )

    def refreshed(self) -> RefreshResult:
        """A refresh that must succeed."""
        result = self.refresh()
        assert result.status in ("completed", "nothing"), result.error
        return result

    def verify(self) -> VerifyResult:
        return verify_marts(self.warehouse, dbt=self.dbt, environment=self.environment)

    def with_dbt(self, dbt: DbtRunner) -> Marts:
        return replace(self, dbt=dbt)


@pytest.fixture(scope="session")
def marts_of_session(server_for: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marts]:
    server = server_for("embedded")
    home = tmp_path_factory.mktemp("dbt")
    # A name of its own: other folders that take this fixture make it once more.
    name = f"{server.template.database}_{home.name}"
    try:
        warehouse = server.clone(name)
        environment = dbt_environment(warehouse, target=home / "target", logs=home / "logs")
        with DbtProcess() as dbt, closing(Marts(warehouse, dbt, environment)) as marts:
            yield marts
    finally:
        server.drop(name)


@pytest.fixture
def marts(marts_of_session: Marts) -> Marts:
    """Empty marts that are there already: what a test refreshes is incremental."""
    return emptied(marts_of_session)


def emptied(marts: Marts) -> Marts:
    if not marts.sql("select completed_run_id from ops.mart_state where completed_run_id is not null"):
        assert marts.refreshed().is_rebuild
    # All of one part goes in one message.
    marts.sql(EMPTY)
    marts.sql("update ops.mart_state set fingerprint = %s", project().fingerprint)
    marts.sql(EMPTY_MARTS, role=Role.DBT)
    return marts

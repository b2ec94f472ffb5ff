"""A warehouse with two listeners, filled once through import and refresh; asking an API on it. The fixtures stand in
the folder above, because pages are tested on the same warehouse.

`api.get(path)` asks as ada; `api.get(path, as_="bob")` as bob. Nothing in these tests changes a mart, save in a
transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive

ZONES = {"ada": "Europe/Berlin", "bob": "America/New_York"}
PLAYS = {"ada": 4_000, "bob": 300}
# Spotify's own lists come by polling, which no archive replaces: three days of two users, written as the mart has them.
RANKS = """
insert into marts.fct_top_ranks (user_id, snapshot_date, snapshot_at, entity_kind, term, rank, entity_id)
select
    u.user_id, date '2024-06-01' + n, timestamptz '2024-06-01 08:00Z' + n * interval '1 day', 'artist', 'short_term',
    row_number() over (partition by u.user_id, n order by a.counted_plays desc, a.artist_id), a.artist_id
from marts.dim_users as u
cross join generate_series(0, 2) as n
inner join marts.agg_period_artists as a on a.user_id = u.user_id and a.period = 'all' and a.artist_id % 5 >= n
"""
# What MusicBrainz might say of two tracks in three: genres of artists, a few of recordings, some names that need care.
GENRES = """
insert into raw.musicbrainz_artists (artist_mbid, name, told_at)
select md5('artist ' || artist_id)::uuid, name, now() from raw.artists;
insert into raw.musicbrainz_recordings (recording_mbid, title, first_release_date, told_at)
select
    md5('recording ' || content_id)::uuid, coalesce(title, '?'),
    (array['1969', '1991-05', '1999-12-31', null])[content_id % 4 + 1], now()
from raw.contents where kind_id = 1 and content_id % 3 <> 0;
insert into raw.musicbrainz_credits (recording_mbid, place, artist_mbid, credited_as, join_phrase)
select md5('recording ' || content_id)::uuid, 1, md5('artist ' || artist_id)::uuid, 'x', ''
from raw.contents where kind_id = 1 and content_id % 3 <> 0 and artist_id is not null;
insert into raw.musicbrainz_tags (tag, is_genre)
values ('ambient', true), ('drum and bass', true), ('<b>folk</b>', true), ('r&b', true), ('seen live', false);
insert into raw.musicbrainz_votes (entity_kind, entity_mbid, tag_id, votes)
select 'artist', md5('artist ' || a.artist_id)::uuid, t.tag_id, 1 + (a.artist_id + t.tag_id) % 4
from raw.artists as a inner join raw.musicbrainz_tags as t on (a.artist_id + t.tag_id) % 3 = 0
where a.artist_id % 5 <> 0
union all
select 'recording', md5('recording ' || c.content_id)::uuid, t.tag_id, 2
from raw.contents as c inner join raw.musicbrainz_tags as t on t.tag_id % 2 = 0
where c.kind_id = 1 and c.content_id % 21 = 1;
insert into raw.found_recordings (content_id, recording_mbid, found_by, found_at)
select content_id, md5('recording ' || content_id)::uuid, 'isrc', now()
from raw.contents where kind_id = 1 and content_id % 3 <> 0;
"""


@dataclass(frozen=True)
class Filled:
    """The warehouse, its settings, and an access token of each user."""

    warehouse: Warehouse
    settings: Settings
    tokens: dict[str, str]
    users: dict[str, int]

    def read(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """As the analyst, who sees every row of the marts."""
        with self.warehouse.connect(Role.ANALYST) as connection:
            return connection.execute(query.encode(), arguments or None).fetchall()

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(Role.OWNER) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def restore_access(self) -> None:
        """Leaves the users' first tokens, good again: whoever tries every operation or form revokes tokens too."""
        self.sql("delete from app.access_tokens where name <> 'test'")
        self.sql("delete from app.corrections")
        self.sql("delete from app.recording_decisions")
        self.sql("delete from ops.changed_days")
        self.sql("update app.access_tokens set revoked_at = null")


@dataclass(frozen=True)
class Api:
    client: httpx.Client
    tokens: dict[str, str]

    def get(
        self, path: str, *, as_: str = "ada", headers: dict[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        asked = {"authorization": f"Bearer {self.tokens[as_]}", **(headers or {})}
        return self.client.get(path, headers=asked, params=query or None)

    def read(self, path: str, **query: Any) -> Any:
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """Every page of a list, by its Link headers."""
        answer = self.get(path, **query)
        while True:
            assert answer.status_code == 200, answer.text
            yield answer.json()["data"]
            if "next" not in answer.links:
                assert answer.json()["next"] is None
                return
            answer = self.get(answer.links["next"]["url"], as_=query.get("as_", "ada"))


def fill(warehouse: Warehouse, settings: Settings, folder: Path) -> Filled:
    users, tokens = {}, {}
    for key, zone in ZONES.items():
        with warehouse.connect(Role.INGEST, autocommit=True) as connection:
            manage_users.add_user(connection, user_key=key, display_name=key.title(), time_zone=zone)
            users[key] = manage_users.get_user(connection, user_key=key).user_id
        with warehouse.connect(Role.APP, autocommit=True) as connection:
            tokens[key] = manage_access.make_token(connection, user_id=users[key], name="test", days=None).token
    for seed, (key, plays) in enumerate(PLAYS.items(), start=1):
        spec = ArchiveSpec(
            seed=seed, listener=key, first_day=date(2021, 11, 1), last_day=date(2024, 12, 31), plays=plays
        )
        archive = folder / f"{key}.zip"
        write_extended_archive(archive, build_listener(spec))
        import_history(
            warehouse,
            paths=archive,
            user_key=key,
            limits=archive_limits(settings),
            hash_account=account_hasher(settings),
        )
    with warehouse.connect(Role.INGEST) as connection:
        connection.execute(GENRES.encode())
    environment = dbt_environment(warehouse, target=folder / "target", logs=folder / "logs")
    with DbtProcess() as dbt:
        result = refresh_marts(warehouse, dbt=dbt, environment=environment, run_tests=False)
    assert result.is_good, result.error
    with warehouse.connect(Role.DBT) as connection:
        connection.execute(RANKS.encode())
    return Filled(warehouse, settings, tokens, users)

"""A warehouse with two listeners, filled once through import and refresh; asking an API on it. The fixtures stand in
the folder above, because pages are tested on the same warehouse.

`api.get(path)` asks as ada; `api.get(path, as_="bob")` as bob. Nothing in these tests changes a mart, save in a
transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.catalogue.matching.choices import choose
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.notices import journal, targets
from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.playlists.migration import item_rows
from myi_pipeline.playlists.migration import store as migrations
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.accounts import Provider, link_account
from myi_pipeline.providers.encryption_keys import KeyRing, require_keys
from myi_pipeline.providers.playlists import Capabilities, EntryKind, ListedTrack, PlaylistEntry, PlaylistHead
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


# What a listener played most, so that a list of it has plays.
LISTED = """
select c.uri, c.title, c.creator
from raw.listening_events as e inner join raw.contents as c on c.content_id = e.content_id
where e.user_id = %s and c.kind_id = 1 and c.uri is not null and c.title is not null
group by c.content_id order by count(*) desc, c.content_id limit 12
"""


@dataclass(frozen=True)
class Filled:
    """The warehouse, its settings, and an access token and the archive of each user."""

    warehouse: Warehouse
    settings: Settings
    tokens: dict[str, str]
    users: dict[str, int]
    archives: dict[str, Path]

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
        self.sql("delete from app.match_decisions")
        self.sql("delete from app.kept_answers")
        self.sql("delete from app.exports")
        self.sql("delete from app.shares")
        self.sql("delete from app.saved_migrations")
        self.sql("delete from app.notice_targets")
        self.sql("delete from ops.notices")
        self.sql("delete from app.migrations where migration_id > 2")
        self.sql(
            "update app.migrations set state = 'planned', ordered = null, ordered_at = null, finished_at = null,"
            " cancel_asked_at = null"
        )
        self.sql("delete from raw.playlists where provider_playlist like '/%'")
        self.sql("delete from ops.playlist_file_inbox")
        for ledger in ("days", "users", "playlists", "contents", "facts"):
            self.sql(f"delete from ops.changed_{ledger}")
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


def _keep_playlists(warehouse: Warehouse, user_id: int) -> None:
    """Two lists of a file, one of which changed: a track came twice, a file of the owner's came, one track went."""
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        entries = [
            PlaylistEntry(track=ListedTrack(uri=uri, title=title, artists=(creator,) if creator else ()))
            for uri, title, creator in connection.execute(LISTED.encode(), (user_id,)).fetchall()
        ]
        local = PlaylistEntry(track=ListedTrack(kind=EntryKind.LOCAL, title="A demo tape"))
        for day, name, listed in (
            (1, "one", entries),
            (2, "one", [*entries[1:], local, entries[1]]),
            (3, "two", entries[:1]),
        ):
            store_playlist(
                connection,
                user_id=user_id,
                account_id=None,
                provider="file",
                head=PlaylistHead(playlist_id=name, name=f"List {name}"),
                entries=listed,
                now=datetime(2024, 6, day, tzinfo=UTC),
            )


# A user's migrations, kept in sync.
SAVED = """
insert into app.saved_migrations (
    user_id, source_playlist_id, source_name, target_account_id, target_playlist, target_name, is_daily, origin_id,
    created_at, looked_at
)
select
    user_id, source_playlist_id, source_name, target_account_id, 'hers', target_name, false, migration_id, now(), now()
from app.migrations
where user_id = %s
returning saved_id
"""


# What people make as they go: a report of theirs, an export, and something that was told.
MADE = """
with report as (
    insert into app.shares (share_id, user_id, kind, title, snapshot, made_at)
    values ('AAAAAAAAAAA' || %(user_id)s, %(user_id)s, 'year', %(name)s, '{"version": 1}', now())
),

export as (
    insert into app.exports (user_id, state, finished_at) values (%(user_id)s, 'failed', now())
)

insert into ops.notices (user_id, kind, subject, stage, detail, is_event, began_at)
values (%(user_id)s, 'login.ending', 'login', '7', jsonb_build_object('account', %(name)s::text), false, now())
"""


def make_rows(filled: Filled, key: str, *, name: str) -> UUID:
    """One row for each list that is empty at first, called `name` where a name is its user's; returns the webhook."""
    filled.sql(SAVED, filled.users[key])
    with filled.warehouse.connect(Role.OWNER) as connection:
        connection.execute("update app.saved_migrations set source_name = %s, target_name = %s", (name, name))
        connection.execute(MADE.encode(), {"user_id": filled.users[key], "name": name})
    return add_webhook(filled, key, name=name)[0]


def add_webhook(filled: Filled, key: str, *, name: str) -> tuple[UUID, UUID]:
    """A webhook that was added, and a message that is to be posted there."""
    user_id, now = filled.users[key], datetime.now(UTC)
    keys = require_keys(filled.settings, filled.warehouse)
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        added = targets.add_target(
            connection, keys, user_id=user_id, channel=targets.Channel.WEBHOOK, url="https://example.org/hook",
            name=name, allow_private=False, now=now, lookup=lambda *_: ["93.184.216.34"],
        )  # fmt: skip
        delivery = journal.journal_test(
            connection, user_id=user_id, target_id=added.target_id, site_url="http://127.0.0.1", now=now
        )
    assert delivery is not None
    return added.target_id, delivery


def _plan_migration(warehouse: Warehouse, user_key: str, user_id: int) -> None:
    """Of the first list, to a TIDAL account without a login: every second entry is found, and each has a rival."""
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        now = datetime(2024, 6, 4, tzinfo=UTC)
        account_id = link_account(
            connection, KeyRing([bytes(32)]), user_id=user_id, provider=Provider.TIDAL, provider_account=user_key,
            name=user_key.title(), client_id="client", grant=None, now=now,
        )  # fmt: skip
        query = "select playlist_id from raw.playlists where user_id = %s order by playlist_id limit 1"
        ((playlist_id,),) = connection.execute(query, (user_id,)).fetchall()
        matches: list[item_rows.Match] = []
        for entry in item_rows.source_entries(connection, playlist_id=playlist_id, version_no=2):
            found = [
                ListedTrack(uri=f"tidal:track:{entry.position}{rival}", title=title, artists=entry.track.artists)
                for rival, title in enumerate((entry.title, f"{entry.title} (live)"))
            ][entry.position % 2 :]
            matches.append((entry, choose(entry.track, found), found, None))
        with item_rows.found_items(connection) as items:
            items.keep(matches)
            migrations.create_migration(
                connection, user_id=user_id, source=(playlist_id, 2, "List one"), target_account_id=account_id,
                target_playlist=None, target_name="List one", target_before=(), were_there=0, is_equal=False,
                found=items, capabilities=Capabilities(creates=True, most_per_add=50), note="", now=now,
            )  # fmt: skip


def fill(warehouse: Warehouse, settings: Settings, folder: Path) -> Filled:
    users, tokens, archives = {}, {}, {}
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
        archive = archives[key] = folder / f"{key}.zip"
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
    for user_key, user_id in users.items():
        _keep_playlists(warehouse, user_id)
        _plan_migration(warehouse, user_key, user_id)
    environment = dbt_environment(warehouse, target=folder / "target", logs=folder / "logs")
    with DbtProcess() as dbt:
        result = refresh_marts(warehouse, dbt=dbt, environment=environment, run_tests=False)
    assert result.is_good, result.error
    with warehouse.connect(Role.DBT) as connection:
        connection.execute(RANKS.encode())
    return Filled(warehouse, settings, tokens, users, archives)

"""A listener with something in every part of an export, all of it made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from myi_pipeline.postgres.connections import Role
from tests.integration.archives.setups import Setup, nameless, row, write_rows

ROWS = (
    *(row(second) for second in range(0, 3_000, 250)),
    *(
        row(
            second,
            master_metadata_track_name="Other song",
            spotify_track_uri="spotify:track:0000000000000000000002",
            platform="ios",
        )
        for second in range(40_000, 42_000, 400)
    ),
    # Two plays of one moment and length, an identical row, a removed track, a row that is no play.
    row(50_000),
    row(50_000, spotify_track_uri="spotify:track:0000000000000000000002", master_metadata_track_name="Other song"),
    row(50_000),
    nameless(60_000),
    row(70_000) | {"ts": "yesterday"},
)
AGAIN = (
    row(50_000),
    row(50_000, spotify_track_uri="spotify:track:0000000000000000000003", master_metadata_track_name="Third song"),
    row(90_000_000 // 100),
)
STATEMENTS = """
update app.users
set display_name = 'Ana', time_zone = 'Europe/Berlin', time_zone_chosen_at = '2024-01-05 10:00Z'
where user_id = %(ana)s;

insert into app.user_time_zones (user_id, valid_from, time_zone) values (%(ana)s, '2020-02-01 12:00Z', 'Asia/Tokyo');

update raw.contents set duration_ms = 200000, isrc = 'DEAB12000001' where uri = 'spotify:track:0000000000000000000001';

update raw.artists set uri = 'spotify:artist:0000000000000000000001' where name = 'Band';

update raw.albums
set uri = 'spotify:album:0000000000000000000001', total_tracks = 9, release_year = 2019
where name = 'Album';

insert into raw.content_aliases (content_id, canonical_id, reason)
select a.content_id, b.content_id, 'relinked'
from raw.contents as a
cross join raw.contents as b
where a.uri = 'spotify:track:0000000000000000000003' and b.uri = 'spotify:track:0000000000000000000002';

insert into raw.musicbrainz_artists (artist_mbid, name, told_at)
values ('00000000-0000-0000-0000-0000000000a1', 'Band', '2024-01-01Z');

insert into raw.musicbrainz_recordings (recording_mbid, title, length_ms, first_release_date, told_at)
values ('00000000-0000-0000-0000-0000000000b1', 'Song', 200000, '2018-05', '2024-01-01Z');

insert into raw.musicbrainz_credits (recording_mbid, place, artist_mbid, credited_as, join_phrase)
values ('00000000-0000-0000-0000-0000000000b1', 1, '00000000-0000-0000-0000-0000000000a1', 'Band', '');

insert into raw.musicbrainz_tags (tag, is_genre) values ('rock', true), ('seen live', false);

insert into raw.musicbrainz_votes (entity_kind, entity_mbid, tag_id, votes)
select 'recording', '00000000-0000-0000-0000-0000000000b1'::uuid, tag_id, 3 from raw.musicbrainz_tags;

insert into raw.found_recordings (content_id, recording_mbid, found_by, found_at)
select content_id, '00000000-0000-0000-0000-0000000000b1'::uuid, 'isrc', '2024-01-01Z'::timestamptz
from raw.contents
where uri = 'spotify:track:0000000000000000000001';

insert into app.provider_accounts (user_id, provider, provider_account, name, linked_at)
values (%(ana)s, 'spotify', 'account:ana', 'Ana', '2020-01-01Z'), (%(ana)s, 'tidal', 'ana-tidal', null, '2020-02-01Z');

insert into app.polled_accounts (user_id, first_poll_id, account_key)
values (%(ana)s, nextval('raw.batch_id_seq'), 'account:ana');

insert into raw.listening_events (user_id, source_id, batch_id, played_at, content_id)
select %(ana)s, s.source_id, currval('raw.batch_id_seq'), '2020-02-20 11:58:01.234Z', min(c.content_id)
from raw.sources as s
cross join raw.contents as c
where s.source in ('spotify_api', 'submitted_listens', 'lastfm_api')
group by s.source_id;

insert into raw.polled_spans (user_id, polled_from, polled_to)
values (%(ana)s, '2020-02-15Z', '2020-02-18Z'), (%(ana)s, '2020-02-19Z', '2020-02-25Z');

insert into raw.poll_gaps (user_id, gap_start, gap_end, reason, noted_at)
values (%(ana)s, '2020-02-16Z', '2020-02-17Z', 'outage', '2020-02-17Z');

insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, content_id, artist_id, taken_at)
select %(ana)s, '2020-02-20'::date, 'track', 'short_term', 1, min(content_id), null::int,
    '2020-02-20 12:00Z'::timestamptz
from raw.contents
union all
select %(ana)s, '2020-02-20'::date, 'artist', 'short_term', 1, null, min(artist_id),
    '2020-02-20 12:00Z'::timestamptz
from raw.artists;

insert into ops.postponed_plays (user_id, due_at, uri, poll_id, item)
values (
    %(ana)s, '2090-01-01Z', 'spotify:track:0000000000000000000001', currval('raw.batch_id_seq'),
    '{"played_at": "2090-01-01T00:00:00Z", "track": {"uri": "spotify:track:0000000000000000000001", "name": "Song",
        "type": "track", "artists": [{"name": "Band"}], "album": {"name": "Album"}}}'
);

insert into ops.refused_listens (user_id, listen_digest, submission_id, client, reason, detail, listen, refused_at)
values (%(ana)s, '00000000-0000-0000-0000-0000000000c1', 1, 'Player', 'bad', 'no title', '{"a": null}', '2020-02-20Z');

insert into ops.listen_inbox (user_id, client, listen_type, listens, refused, size_bytes, received_at)
values (%(ana)s, 'Player', 'single', '[]', '[]', 4, '2020-02-20Z');

insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)
select %(ana)s, account_id, 'spotify', 'list-one', '2020-01-01Z'::timestamptz
from app.provider_accounts
where provider = 'spotify'
union all
select %(ana)s, null::int, 'file', '/own', '2020-01-02Z'::timestamptz;

insert into raw.playlist_items (playlist_id, items_key, position, kind, content_id, added_at, original, artists)
select p.playlist_id, '00000000-0000-0000-0000-0000000000d1'::uuid, c.place - 1, 'track', c.content_id,
    '2020-01-01Z'::timestamptz, null::jsonb, array['Band']
from raw.playlists as p
cross join (select content_id, row_number() over (order by content_id) as place from raw.contents) as c
union all
select p.playlist_id, '00000000-0000-0000-0000-0000000000d1'::uuid, 90, 'local', null, null,
    '{"title": "Demo"}'::jsonb, null
from raw.playlists as p;

insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name, items_key, items, is_public)
select p.playlist_id, v.no, '2020-01-01Z'::timestamptz + v.no * interval '1 day', 'readable', 'List ' || v.no,
    '00000000-0000-0000-0000-0000000000d1'::uuid, 4, true
from raw.playlists as p
cross join generate_series(1, 2) as v (no);

insert into app.migrations (
    user_id, source_playlist_id, source_version_no, source_name, target_account_id, target_name, state, created_at
)
select %(ana)s, min(p.playlist_id), 1, 'List 1', max(a.account_id), 'List 1', 'planned', '2020-02-01Z'::timestamptz
from raw.playlists as p
cross join app.provider_accounts as a
where a.provider = 'tidal';

insert into app.migration_items (migration_id, position, title, artists, outcome, score, kinship, reason)
select migration_id, 0, 'Song', '{Band}', 'missing', 0, 'none', 'nothing found' from app.migrations;

insert into app.match_decisions (user_id, provider, content_id, kind, uri, decided_at)
select %(ana)s, 'tidal', min(content_id), 'is', 'tidal:1', '2020-02-01Z'::timestamptz from raw.contents;

insert into app.recording_decisions (user_id, decision, content_id, other_id, decided_at)
select %(ana)s, 'same', min(content_id), max(content_id), '2020-02-01Z'::timestamptz from raw.contents;

insert into app.corrections (user_id, action, event_id, event_at, shift_s, note, created_at)
select %(ana)s, 'correct',
    hash_record_extended(
        row(user_id, source_id, timestamptz_send(played_at), content_id, ms_played, occurrence), 0
    ),
    played_at, 3600, 'the clock', '2024-02-01Z'::timestamptz
from raw.listening_events
where user_id = %(ana)s and source_id = 1
order by played_at
limit 1;

insert into app.corrections (user_id, action, artist_id, until_at, created_at, undone_at)
select %(ana)s, 'hide', min(artist_id), '2020-02-02Z'::timestamptz, '2024-02-02Z'::timestamptz,
    '2024-02-03Z'::timestamptz
from raw.artists;

insert into app.linked_services (user_id, service, account, linked_at) values (%(ana)s, 'lastfm', 'ana', '2020-01-01Z');

insert into app.onward_wishes (user_id, service, wished_at) values (%(ana)s, 'lastfm', '2020-03-01Z');

insert into app.onward_plays (user_id, service, account, play_id, listened_at, title, artist, is_past, state, attempts)
values (%(ana)s, 'lastfm', 'ana', 1, '2020-02-20Z', 'Song', 'Band', false, 'sent', 1);

insert into app.saved_migrations (
    user_id, source_playlist_id, source_name, target_account_id, target_playlist, target_name, target_before,
    created_at, looked_at
)
select user_id, source_playlist_id, source_name, target_account_id, 'tidal-list', target_name, '["tidal:9"]',
    created_at, created_at
from app.migrations;

insert into app.shares (share_id, user_id, kind, title, snapshot, made_at)
values ('0123456789ab', %(ana)s, 'year', 'My 2020', '{"version": 1}', '2021-01-01Z');

insert into app.agreements (inviter_id, link_hash, inviter_parts, invited_at, expires_at)
values (%(ana)s, sha256('a link'), '{overview,tops}', '2021-01-01Z', '2090-01-15Z');

insert into app.notice_wishes (user_id, muted, quiet_from, quiet_until)
values (%(ana)s, '{import.finished}', '22:00', '07:30');

insert into app.notice_targets (target_id, user_id, channel, name, shown, address, created_at)
values (
    '00000000-0000-0000-0000-0000000000e1', %(ana)s, 'apprise', 'My phone', 'ntfy://ntfy.example.org',
    decode(repeat('ab', 40), 'hex'), '2021-01-01Z'
);

insert into app.audit (event, user_id) values ('signed_in', %(ana)s);
"""


def fill_everything(setup: Setup, folder: Path, *, user_key: str = "ana") -> int:
    """Into a warehouse that has this user and nothing else; returns the user's number."""
    setup.bring(write_rows(folder / "first.zip", *ROWS), user=user_key)
    setup.bring(write_rows(folder / "second.zip", *AGAIN), user=user_key)
    values: dict[str, Any] = {"ana": setup.one("select user_id from app.users where user_key = %s", user_key)}
    with setup.warehouse.connect(Role.OWNER) as connection:
        for statement in STATEMENTS.split(";\n"):
            if statement.strip():
                connection.execute(statement.encode(), values)
    return int(values["ana"])

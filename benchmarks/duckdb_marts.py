"""The reference of `benchmarks.first_minute`: one extended archive to the same aggregates, by DuckDB.

    python duckdb_marts.py ARCHIVE.zip DATABASE TIME_ZONE

Runs in an environment of its own that has duckdb and need not have MYI. Rows that are equal within the archive count
once. What MYI does beside that, it does not: no accounting, no identity across archives, no polls, no row security.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb  # type: ignore[import-not-found,unused-ignore]

COLUMNS = """{
    ts: 'TIMESTAMPTZ', platform: 'VARCHAR', ms_played: 'INTEGER', conn_country: 'VARCHAR',
    master_metadata_track_name: 'VARCHAR', master_metadata_album_artist_name: 'VARCHAR',
    master_metadata_album_album_name: 'VARCHAR', spotify_track_uri: 'VARCHAR', episode_name: 'VARCHAR',
    episode_show_name: 'VARCHAR', spotify_episode_uri: 'VARCHAR', reason_start: 'VARCHAR', reason_end: 'VARCHAR',
    shuffle: 'BOOLEAN', skipped: 'BOOLEAN', offline: 'BOOLEAN', offline_timestamp: 'BIGINT', incognito_mode: 'BOOLEAN'
}"""
PLAYS = f"""
create table plays as
with rows as (
    select distinct * from read_json($files, format = 'array', columns = {COLUMNS})
)
select
    row_number() over (order by ts, spotify_track_uri) as play_id,
    ts as played_at,
    ts - to_milliseconds(ms_played) as started_at,
    (ts at time zone $zone)::date as local_date,
    hour(ts at time zone $zone) as local_hour,
    ms_played,
    ms_played >= 30000 as is_counted,
    case when spotify_track_uri is not null then 'track' else 'episode' end as kind,
    coalesce(spotify_track_uri, spotify_episode_uri) as uri,
    master_metadata_track_name as track,
    master_metadata_album_artist_name as artist,
    master_metadata_album_album_name as album,
    platform, conn_country, reason_start, reason_end, shuffle, skipped, offline, incognito_mode
from rows
order by played_at
"""
FIGURES = "count(*) as plays, count(*) filter (is_counted) as counted_plays, sum(ms_played) as ms_played"
PERIODS = """
select {keys}, period, case when period = 'all' then date '1970-01-01' else date_trunc(period, local_date) end as start,
    {figures}, min(played_at) as first_played_at, max(played_at) as last_played_at
from plays cross join (select unnest(['week', 'month', 'year', 'all']) as period)
where kind = 'track' group by all
"""
AGGREGATES = {
    "agg_period_tracks": PERIODS.format(keys="uri", figures=FIGURES),
    "agg_period_artists": PERIODS.format(keys="artist", figures=FIGURES),
    "agg_period_albums": PERIODS.format(keys="artist, album", figures=FIGURES),
    "agg_day": f"select local_date, {FIGURES}, count(distinct uri) as tracks from plays group by local_date",
    "agg_hour": f"select local_date, local_hour, {FIGURES} from plays group by local_date, local_hour",
    "agg_clock": (
        f"select year(local_date) as year, isodow(local_date) as weekday, local_hour, {FIGURES} from plays group by all"
    ),
    "first_plays": "select uri, min(played_at) as played_at, arg_min(play_id, played_at) from plays group by uri",
    "sessions": """
        select session, min(started_at), max(played_at), count(*), sum(ms_played) from (
            select *, sum(is_first) over (order by played_at, play_id) as session from (
                select *, (started_at - lag(played_at) over (order by played_at, play_id) > interval 30 minutes)::int
                    as is_first
                from plays
            )
        ) group by session
    """,
    "streaks": """
        select min(local_date), max(local_date), count(*) from (
            select local_date, local_date - (row_number() over (order by local_date))::int as streak
            from (select distinct local_date from plays)
        ) group by streak
    """,
}


def main() -> None:
    archive, database, zone = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.endswith(".json")]
        files = [opened.extract(name, folder) for name in names]
        Path(database).unlink(missing_ok=True)
        with duckdb.connect(database) as connection:
            connection.execute(PLAYS, {"files": files, "zone": zone})
            for name, query in AGGREGATES.items():
                connection.execute(f"create table {name} as {query}")
            print(connection.execute("select count(*), sum(ms_played) from plays").fetchone())


if __name__ == "__main__":
    main()

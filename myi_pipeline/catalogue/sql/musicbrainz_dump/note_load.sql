insert into ops.musicbrainz_loads (digest, started_at, finished_at, rows_read, bad_rows, tracks, found)
values (
    %(digest)s, %(started_at)s, %(finished_at)s, %(rows_read)s, %(bad_rows)s, %(tracks)s, %(found)s
)

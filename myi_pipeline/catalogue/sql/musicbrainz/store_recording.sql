insert into raw.musicbrainz_artists as a (artist_mbid, name, told_at)
select distinct on (c.artist_mbid)
    c.artist_mbid,
    c.name,
    %(now)s::timestamptz
from jsonb_to_recordset(%(credits)s) as c (artist_mbid uuid, name text)
order by c.artist_mbid
on conflict (artist_mbid) do update
    set name = excluded.name, told_at = excluded.told_at
    where a.name <> excluded.name;

insert into raw.musicbrainz_recordings as r (
    recording_mbid, title, length_ms, first_release_date, release_mbid, release_name, told_at
)
values (
    %(recording_mbid)s, %(title)s, %(length_ms)s, %(first_release_date)s, %(release_mbid)s, %(release_name)s, %(now)s
)
on conflict (recording_mbid) do update
    set
        title = excluded.title,
        length_ms = excluded.length_ms,
        first_release_date = excluded.first_release_date,
        release_mbid = excluded.release_mbid,
        release_name = excluded.release_name,
        told_at = excluded.told_at;

delete from raw.musicbrainz_credits
where recording_mbid = %(recording_mbid)s and place > jsonb_array_length(%(credits)s);

insert into raw.musicbrainz_credits as known (recording_mbid, place, artist_mbid, credited_as, join_phrase)
select
    %(recording_mbid)s,
    c.place,
    c.artist_mbid,
    c.credited_as,
    c.join_phrase
from jsonb_to_recordset(%(credits)s) as c (place smallint, artist_mbid uuid, credited_as text, join_phrase text)
order by c.place
on conflict (recording_mbid, place) do update
    set artist_mbid = excluded.artist_mbid, credited_as = excluded.credited_as, join_phrase = excluded.join_phrase
    where
        (known.artist_mbid, known.credited_as, known.join_phrase)
        <> (excluded.artist_mbid, excluded.credited_as, excluded.join_phrase);

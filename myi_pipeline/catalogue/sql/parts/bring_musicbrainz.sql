-- What is already here stays, because it was asked for here. Votes and matches are imported only for what this import
-- adds.
create temporary table told_recording on commit drop as
select t.row_no, r.*
from told_catalogue_musicbrainz_recordings as t
cross join lateral jsonb_to_record(t.told) as r (
    recording_mbid uuid, title text, length_ms int, first_release_date text, release_mbid uuid, release_name text,
    told_at timestamptz, credits jsonb
)
where not exists (select from raw.musicbrainz_recordings as known where known.recording_mbid = r.recording_mbid);

create temporary table told_credit on commit drop as
select t.recording_mbid, c.*
from told_recording as t
cross join lateral jsonb_to_recordset(coalesce(t.credits, '[]')) as c (
    place smallint, artist_mbid uuid, artist text, artist_told_at timestamptz, credited_as text, join_phrase text
);

create temporary table new_entity on commit drop as
select 'recording' as entity_kind, recording_mbid as entity_mbid from told_recording
union
select 'artist', t.artist_mbid
from told_credit as t
where not exists (select from raw.musicbrainz_artists as known where known.artist_mbid = t.artist_mbid);

insert into raw.musicbrainz_artists (artist_mbid, name, told_at)
select distinct on (artist_mbid) artist_mbid, artist, least(artist_told_at, now())
from told_credit
order by artist_mbid
on conflict do nothing;

insert into raw.musicbrainz_recordings (
    recording_mbid, title, length_ms, first_release_date, release_mbid, release_name, told_at
)
select recording_mbid, title, length_ms, first_release_date, release_mbid, release_name, least(told_at, now())
from told_recording
order by row_no
on conflict do nothing;

insert into raw.musicbrainz_credits (recording_mbid, place, artist_mbid, credited_as, join_phrase)
select recording_mbid, place, artist_mbid, credited_as, join_phrase
from told_credit
on conflict do nothing;

create temporary table told_vote on commit drop as
select t.row_no, r.*
from told_catalogue_musicbrainz_votes as t
cross join lateral jsonb_to_record(t.told)
    as r (entity_kind text, entity_mbid uuid, tag text, is_genre boolean, votes int)
inner join new_entity as e on e.entity_kind = r.entity_kind and e.entity_mbid = r.entity_mbid;

insert into raw.musicbrainz_tags (tag, is_genre)
select tag, is_genre
from (select distinct on (tag) tag, is_genre, row_no from told_vote order by tag, row_no) as words
where not exists (select from raw.musicbrainz_tags as known where known.tag = words.tag)
order by row_no
on conflict do nothing;

insert into raw.musicbrainz_votes (entity_kind, entity_mbid, tag_id, votes)
select v.entity_kind, v.entity_mbid, t.tag_id, v.votes
from told_vote as v
inner join raw.musicbrainz_tags as t on t.tag = v.tag
order by v.row_no
on conflict do nothing;

insert into raw.found_recordings (content_id, recording_mbid, found_by, found_at)
select c.content_id, r.recording_mbid, r.found_by, least(r.found_at, now())
from told_catalogue_found_recordings as t
cross join lateral jsonb_to_record(t.told) as r (content uuid, recording_mbid uuid, found_by text, found_at timestamptz)
inner join new_content as fresh on fresh.content = r.content
inner join raw.contents as c on c.content_key = r.content
order by t.row_no
on conflict do nothing;

-- A track with no ISRC, no MBID and not both names cannot be looked up.
insert into ops.musicbrainz_queue as q (content_id, plays, due_at)
select
    wanted.track_id,
    wanted.plays,
    %(now)s
from jsonb_to_recordset(%(wanted)s) as wanted (track_id int, plays bigint)
inner join raw.contents as c on c.content_id = wanted.track_id
where
    c.kind_id = 1
    and (c.isrc is not null or c.recording_mbid is not null or (c.title is not null and c.creator is not null))
order by wanted.track_id
on conflict (content_id) do update
    set plays = excluded.plays
    where q.plays <> excluded.plays

-- Queues only what raw itself still lacks, because the marts may be out of date. Queued rows get the new number of
-- plays.
insert into ops.catalogue_queue as q (entity_kind, entity_id, uri, plays, due_at)
select
    wanted.entity_kind,
    wanted.entity_id,
    coalesce(c.uri, a.uri, b.uri),
    wanted.plays,
    %(now)s
from jsonb_to_recordset(%(wanted)s) as wanted (entity_kind text, entity_id int, plays bigint)
left join raw.contents as c on wanted.entity_kind = 'track' and c.content_id = wanted.entity_id
left join raw.artists as a on wanted.entity_kind = 'artist' and a.artist_id = wanted.entity_id
left join raw.albums as b on wanted.entity_kind = 'album' and b.album_id = wanted.entity_id
where
    coalesce(c.uri, a.uri, b.uri) ~ ('^spotify:' || wanted.entity_kind || ':[0-9A-Za-z]{1,64}$')
    and case
        when wanted.entity_kind = 'track' then c.duration_ms is null or c.isrc is null
        else not exists (
            select from raw.pictures as i
            where i.entity_kind = wanted.entity_kind and i.entity_id = wanted.entity_id
        )
    end
order by wanted.entity_kind, wanted.entity_id
on conflict (entity_kind, entity_id) do update
    set plays = excluded.plays
    where q.state = 'waiting' and q.plays <> excluded.plays

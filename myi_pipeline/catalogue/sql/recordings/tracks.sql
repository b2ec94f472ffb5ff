-- What the rules compare, for these tracks or, with NULL, for all. Aliases are left out: marts know the track they
-- stand for.
select
    c.content_id,
    c.content_key::text,
    c.uri is null as is_nameless,
    c.title,
    c.creator,
    c.collection,
    c.duration_ms,
    c.isrc,
    array_remove(array[c.recording_mbid, f.recording_mbid], null)::text[]
from raw.contents as c
left join raw.found_recordings as f on f.content_id = c.content_id
where
    (%(ids)s::int[] is null or c.content_id = any(%(ids)s::int[]))
    and c.kind_id = 1
    and not exists (select from raw.content_aliases as a where a.content_id = c.content_id)

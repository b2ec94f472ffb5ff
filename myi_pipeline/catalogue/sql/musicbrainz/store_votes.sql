-- Replaces the tags of each entity in the answer by the current ones.
delete from raw.musicbrainz_votes as v
using jsonb_to_recordset(%(entities)s) as e (entity_kind text, entity_mbid uuid)
where
    v.entity_kind = e.entity_kind
    and v.entity_mbid = e.entity_mbid
    and not exists (
        select
        from jsonb_to_recordset(%(votes)s) as told (entity_kind text, entity_mbid uuid, tag text)
        inner join raw.musicbrainz_tags as t on t.tag = told.tag
        where told.entity_kind = v.entity_kind and told.entity_mbid = v.entity_mbid and t.tag_id = v.tag_id
    );

insert into raw.musicbrainz_votes as v (entity_kind, entity_mbid, tag_id, votes)
select
    told.entity_kind,
    told.entity_mbid,
    t.tag_id,
    told.votes
from jsonb_to_recordset(%(votes)s) as told (entity_kind text, entity_mbid uuid, tag text, votes int)
inner join raw.musicbrainz_tags as t on t.tag = told.tag
order by told.entity_kind, told.entity_mbid, t.tag_id
on conflict (entity_kind, entity_mbid, tag_id) do update
    set votes = excluded.votes
    where v.votes <> excluded.votes;

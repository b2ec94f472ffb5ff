-- Ordered by tag_id, by which genres with equal votes are ranked.
with recordings as (
    select distinct f.recording_mbid
    from wanted_contents as w
    inner join raw.found_recordings as f on f.content_id = w.content_id
)

select v.entity_kind, v.entity_mbid, t.tag, t.is_genre, v.votes
from raw.musicbrainz_votes as v
inner join raw.musicbrainz_tags as t on t.tag_id = v.tag_id
where
    (v.entity_kind = 'recording' and v.entity_mbid in (select r.recording_mbid from recordings as r))
    or (
        v.entity_kind = 'artist'
        and v.entity_mbid in (
            select c.artist_mbid
            from recordings as r
            inner join raw.musicbrainz_credits as c on c.recording_mbid = r.recording_mbid
        )
    )
order by t.tag_id, v.entity_kind, v.entity_mbid

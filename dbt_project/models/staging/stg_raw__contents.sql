select
    contents.content_id,
    coalesce(aliases.canonical_id, contents.content_id) as canonical_id,
    contents.kind_id,
    kinds.kind,
    contents.uri,
    contents.title,
    contents.creator,
    contents.collection,
    contents.match_title,
    contents.match_key,
    contents.artist_id,
    contents.album_id,
    contents.duration_ms,
    contents.isrc,
    contents.recording_mbid,
    contents.disc_number,
    contents.track_number,
    contents.search_text,
    -- Contents that are one song for the resolution: aliases, and contents with the same names.
    case
        when coalesce(canonical.match_title, contents.match_title) <> '' then coalesce(canonical.match_key, contents.match_key)
        else coalesce(canonical.content_key, contents.content_key)
    end as song
from {{ source('raw', 'contents') }} as contents
inner join {{ source('raw', 'content_kinds') }} as kinds on kinds.kind_id = contents.kind_id
left join {{ source('raw', 'content_aliases') }} as aliases on aliases.content_id = contents.content_id
left join {{ source('raw', 'contents') }} as canonical on canonical.content_id = aliases.canonical_id

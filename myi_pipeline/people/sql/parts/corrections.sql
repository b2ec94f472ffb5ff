select
    c.correction_id as no,
    c.action,
    c.event_at,
    case
        when e.user_id is not null then json_build_object(
            'source', its.source,
            'played_at', e.played_at,
            'content', heard.content_key,
            'ms_played', e.ms_played,
            'occurrence', e.occurrence
        )
    end as event,
    c.from_at,
    c.until_at,
    a.artist_key as artist,
    s.source,
    c.kind,
    c.shift_s,
    other.content_key as to_content,
    c.note,
    c.created_at,
    c.undone_at,
    c.for_good_at
from app.corrections as c
left join raw.listening_events as e
    on
        e.user_id = c.user_id
        and e.played_at = c.event_at
        and hash_record_extended(
            row(e.user_id, e.source_id, timestamptz_send(e.played_at), e.content_id, e.ms_played, e.occurrence), 0
        ) = c.event_id
left join raw.sources as its on its.source_id = e.source_id
left join raw.contents as heard on heard.content_id = e.content_id
left join raw.artists as a on a.artist_id = c.artist_id
left join raw.sources as s on s.source_id = c.source_id
left join raw.contents as other on other.content_id = c.to_content_id
where c.user_id = %(user_id)s
order by c.correction_id

select
    h.import_id as batch,
    h.export_no,
    h.played_at,
    s.source,
    c.content_key as content,
    h.ms_played,
    h.occurrence
from raw.event_holders as h
inner join raw.sources as s on s.source_id = h.source_id
left join raw.contents as c on c.content_id = h.content_id
where h.user_id = %(user_id)s
order by h.played_at, h.import_id, h.export_no, h.source_id, h.content_id, h.ms_played, h.occurrence

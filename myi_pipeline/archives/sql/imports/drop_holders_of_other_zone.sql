delete from raw.event_holders as h
using app.imports as i
where
    i.user_id = %(user_id)s
    and i.sha256 = %(sha256)s
    and i.time_zone <> %(time_zone)s
    and h.import_id = i.import_id
    and h.source_id = any(%(zoned_sources)s::smallint [])

-- Before an archive is read in another time zone than before: its former plays are no longer valid. In the transaction
-- that begins the import, so that a repetition after a kill knows which zone it was.
delete from raw.listening_events as e
using app.imports as i
where
    i.user_id = %(user_id)s
    and i.sha256 = %(sha256)s
    and i.time_zone <> %(time_zone)s
    and e.user_id = i.user_id
    and e.batch_id = i.import_id
    and e.source_id = any(%(zoned_sources)s::smallint [])

-- Records that an archive of the export also contains rows that another archive brought here, if it has several rows of
-- that moment and length.
insert into raw.event_holders (import_id, user_id, played_at, source_id, content_id, ms_played, occurrence)
select t.batch_id, l.user_id, l.played_at, l.source_id, l.content_id, l.ms_played, l.occurrence
from (
    select *, count(*) over (partition by batch_id, source_id, played_at, ms_played) as rows_of_moment
    from told_event
) as t
inner join raw.sources as s on s.source_id = t.source_id and s.arrives = 'archive'
inner join app.imports as i on i.import_id = t.batch_id
inner join raw.listening_events as l
    on
        l.user_id = %(user_id)s
        and l.played_at = t.played_at
        and l.source_id = t.source_id
        and l.content_id is not distinct from t.content_id
        and l.ms_played is not distinct from t.ms_played
        and l.occurrence = t.occurrence
where
    t.rows_of_moment > 1
    and l.batch_id <> t.batch_id
    and l.played_at between %(first_played_at)s and %(last_played_at)s
on conflict do nothing

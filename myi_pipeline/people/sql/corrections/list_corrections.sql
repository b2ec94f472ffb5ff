-- Corrections in force, newest first, then those that were undone.
select
    correction.correction_id,
    correction.action,
    correction.event_id,
    correction.event_at,
    correction.from_at,
    correction.until_at,
    correction.artist_id,
    source.source,
    correction.kind,
    correction.shift_s,
    correction.to_content_id,
    correction.note,
    correction.created_at,
    correction.undone_at,
    correction.for_good_at
from app.corrections as correction
left join app.list_sources() as source on source.source_id = correction.source_id
where
    correction.user_id = %(user_id)s
    and (%(correction_id)s::bigint is null or correction.correction_id = %(correction_id)s)
order by correction.undone_at is null desc, correction.correction_id desc
limit %(limit)s

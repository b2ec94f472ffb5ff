-- What was left out of an earlier run stays out. Equal entries are matched by their order: if the second of three was
-- left out, the second is again.
with numbered as (
    select
        migration_id,
        position,
        reason,
        content_id,
        title,
        artists,
        row_number() over (partition by migration_id, content_id, title, artists order by position) as copy
    from app.migration_items
    where migration_id in (%(migration_id)s, %(earlier_id)s)
)

update app.migration_items as i
set
    undecided = jsonb_build_object(
        'outcome', i.outcome, 'uri', i.uri, 'reason', i.reason, 'is_decided', i.is_decided, 'candidates', i.candidates,
        'undecided', i.undecided
    ),
    outcome = 'unavailable',
    uri = null,
    reason = 'left_out',
    is_decided = true,
    is_refused = false
from numbered as now
inner join numbered as was
    on was.content_id is not distinct from now.content_id
    and was.title = now.title
    and was.artists = now.artists
    and was.copy = now.copy
where
    i.migration_id = %(migration_id)s
    and now.migration_id = %(migration_id)s
    and now.position = i.position
    and was.migration_id = %(earlier_id)s
    and was.reason = 'left_out'
    and i.reason <> 'left_out'

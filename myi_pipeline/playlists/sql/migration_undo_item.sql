-- A decision carried over from an earlier migration has no candidates, because none were looked for: the entry becomes
-- missing.
update app.migration_items as entry
set
    outcome = case when was.is_decided then 'missing' else was.outcome end,
    uri = case when not was.is_decided then was.uri end,
    reason = case when was.is_decided then 'taken_back' else was.reason end,
    candidates = was.candidates,
    is_decided = false,
    is_refused = entry.is_refused and not was.is_decided and entry.uri is not distinct from was.uri,
    undecided = null
from (
    select
        i.migration_id,
        i.position,
        coalesce(i.undecided ->> 'outcome', i.outcome) as outcome,
        case when i.undecided is null then i.uri else i.undecided ->> 'uri' end as uri,
        coalesce(i.undecided ->> 'reason', i.reason) as reason,
        coalesce((i.undecided ->> 'is_decided')::boolean, i.is_decided) as is_decided,
        coalesce(i.undecided -> 'candidates', i.candidates) as candidates
    from app.migration_items as i
) as was
where
    entry.migration_id = %(migration_id)s
    and entry.position = %(position)s
    and was.migration_id = entry.migration_id
    and was.position = entry.position
returning entry.uri

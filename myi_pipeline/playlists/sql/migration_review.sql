-- Entries of one kind, in order. Equal entries are all shown, because each has its own position.
select
    position,
    title,
    artists,
    content_id,
    outcome,
    uri,
    reason,
    is_refused,
    is_decided or undecided is not null as may_take_back,
    candidates
from app.migration_items
where
    migration_id = %(migration_id)s
    and position > %(after)s
    and case %(show)s
        when 'doubt' then outcome in ('ambiguous', 'missing') or is_refused
        when 'decided' then is_decided or undecided is not null
        when 'found' then outcome = 'matched'
        else true
    end
order by position
limit %(limit)s

-- A play of several events has one canonical event and at most one of each other source; only a removed track may stand
-- beside the event of its own source that still names it.
select
    matched.user_id,
    matched.play_id,
    count(*) filter (where matched.is_canonical) as canonical_events,
    count(*) filter (where not matched.is_canonical and matched.decision <> 'unknown_content') as account_events,
    count(*) filter (where matched.decision = 'unknown_content') as removed_events
from {{ last_touched_users() }} as touched
inner join {{ ref('int_plays__matched') }} as matched on matched.user_id = touched.user_id
group by matched.user_id, matched.play_id
having
    count(*) filter (where matched.is_canonical) <> 1
    or count(*) filter (where not matched.is_canonical and matched.decision <> 'unknown_content') > 1
    or count(*) filter (where matched.decision = 'unknown_content') > 1
    or count(*) < 2

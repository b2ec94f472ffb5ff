-- A user's migrations as people see them, newest first.
select
    m.migration_id,
    m.source_playlist_id,
    m.source_name,
    m.source_version_no,
    m.target_account_id,
    a.provider,
    a.name as account_name,
    m.target_playlist,
    m.target_name,
    m.is_equal,
    m.state,
    m.ordered,
    m.created_at,
    m.begun_at,
    m.finished_at,
    m.due_at as goes_on_at,
    m.last_error as reason,
    m.note,
    m.cancel_asked_at is not null as is_being_cancelled,
    case when a.state <> 'active' then a.state when a.paused_at is not null then 'paused' end as account_obstacle,
    i.entries,
    i.matched,
    i.ambiguous,
    i.missing,
    i.unavailable,
    i.decided,
    i.refused,
    i.in_doubt
from app.migrations as m
inner join app.provider_accounts as a on a.account_id = m.target_account_id
cross join lateral (
    select
        count(*) as entries,
        count(*) filter (where e.outcome = 'matched') as matched,
        count(*) filter (where e.outcome = 'ambiguous') as ambiguous,
        count(*) filter (where e.outcome = 'missing') as missing,
        count(*) filter (where e.outcome = 'unavailable') as unavailable,
        count(*) filter (where e.is_decided) as decided,
        count(*) filter (where e.is_refused) as refused,
        count(*) filter (where (e.outcome <> 'matched' and not e.is_decided) or e.is_refused) as in_doubt
    from app.migration_items as e
    where e.migration_id = m.migration_id
) as i
where
    m.user_id = %(user_id)s
    and m.migration_id < coalesce(%(before)s, m.migration_id + 1)
    and m.migration_id = coalesce(%(migration_id)s, m.migration_id)
order by m.migration_id desc
limit %(limit)s

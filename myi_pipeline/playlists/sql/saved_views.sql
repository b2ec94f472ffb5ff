-- A user's saved migrations as people see them, each with its last run, or the migration that was saved.
select
    s.saved_id,
    s.source_playlist_id,
    s.source_name,
    s.target_account_id,
    a.provider,
    a.name as account_name,
    s.target_playlist,
    s.target_name,
    s.is_equal,
    s.is_daily,
    s.created_at,
    s.looked_at,
    s.paused_at,
    s.pause_reason,
    case when a.state <> 'active' then a.state when a.paused_at is not null then 'paused' end as account_obstacle,
    last.migration_id as last_id,
    last.state as last_state,
    last.ordered as last_ordered,
    last.created_at as last_at,
    last.due_at as goes_on_at,
    last.last_error as reason,
    coalesce(doubt.entries, 0) as in_doubt
from app.saved_migrations as s
inner join app.provider_accounts as a on a.account_id = s.target_account_id
left join lateral (
    select m.*
    from app.migrations as m
    where m.saved_id = s.saved_id or m.migration_id = s.origin_id
    order by m.migration_id desc
    limit 1
) as last on true
left join lateral (
    select count(*) as entries
    from app.migration_items as i
    where i.migration_id = last.migration_id and ((i.outcome <> 'matched' and not i.is_decided) or i.is_refused)
) as doubt on true
where s.user_id = %(user_id)s and s.saved_id = coalesce(%(saved_id)s, s.saved_id)
order by s.saved_id

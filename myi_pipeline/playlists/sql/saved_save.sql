-- Saving again updates and resumes the saved migration; if it was paused, it is checked at the next opportunity.
insert into app.saved_migrations as s (
    user_id, source_playlist_id, source_name, target_account_id, target_playlist, target_name, is_equal, target_before,
    is_daily, origin_id, created_at, looked_at
)
select
    m.user_id, m.source_playlist_id, m.source_name, m.target_account_id, m.target_playlist, m.target_name, m.is_equal,
    case when m.is_equal then '[]' else m.target_before end, %(is_daily)s, m.migration_id, %(now)s, %(now)s
from app.migrations as m
where m.migration_id = %(migration_id)s and m.user_id = %(user_id)s
on conflict (source_playlist_id, target_account_id, target_playlist) do update
set
    is_daily = excluded.is_daily,
    looked_at = case
        when s.paused_at is null then s.looked_at else least(s.looked_at, %(due)s::timestamptz)
    end,
    paused_at = null,
    pause_reason = null
returning s.saved_id

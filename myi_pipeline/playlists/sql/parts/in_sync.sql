select
    s.source_playlist_id as playlist,
    s.source_name,
    a.provider as target_provider,
    a.provider_account as target_account,
    s.target_playlist,
    s.target_name,
    s.is_equal,
    s.target_before,
    s.is_daily,
    s.created_at,
    s.paused_at
from app.saved_migrations as s
inner join app.provider_accounts as a on a.account_id = s.target_account_id
where s.user_id = %(user_id)s
order by s.saved_id

select
    m.migration_id,
    m.user_id,
    m.source_playlist_id,
    m.source_version_no,
    m.source_name,
    m.target_account_id,
    a.provider,
    m.target_playlist,
    m.target_name,
    m.is_equal,
    m.state,
    m.target_before,
    m.created_at,
    m.finished_at,
    m.last_error,
    m.saved_id,
    m.target_now
from app.migrations as m
inner join app.provider_accounts as a on a.account_id = m.target_account_id
where
    (%(user_id)s::int is null or m.user_id = %(user_id)s)
    and (%(migration_id)s::bigint is null or m.migration_id = %(migration_id)s)
order by m.migration_id

select
    m.migration_id as move,
    m.source_playlist_id as playlist,
    m.source_version_no as version_no,
    m.source_name,
    a.provider as target_provider,
    a.provider_account as target_account,
    m.target_playlist,
    m.target_name,
    m.is_equal,
    m.state,
    m.target_before,
    m.created_at,
    m.begun_at,
    m.finished_at,
    m.note
from app.migrations as m
inner join app.provider_accounts as a on a.account_id = m.target_account_id
where m.user_id = %(user_id)s
order by m.migration_id

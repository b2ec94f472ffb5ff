select
    attempt_id,
    secret_hash,
    code,
    app_name,
    scope,
    address,
    case when state in ('pending', 'allowed') and expires_at <= now() then 'expired' else state end as state,
    reason,
    expires_at
from app.sign_in_attempts
where attempt_id = %(attempt_id)s

select provider_account_id
from app.credentials
where
    (account_id is null or profile_id is null)
    and status = 'active'
    and paused_at is null
    and (names_asked_at is null or names_asked_at < %(asked_before)s)
    and (%(user_ids)s::int[] is null or user_id = any(%(user_ids)s))
order by user_id, provider_account_id
limit %(limit)s

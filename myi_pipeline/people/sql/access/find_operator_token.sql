-- A program that may use Dagster's pages: by a token of an operator, noted as used at most once a minute.
with found as (
    select t.token_id, t.scope, t.last_used_at
    from app.access_tokens as t
    inner join app.users as u on u.user_id = t.user_id
    where
        t.token_hash = %(hash)s
        and t.revoked_at is null
        and (t.expires_at is null or t.expires_at > now())
        and u.is_operator
),

used as (
    update app.access_tokens as t set last_used_at = now()
    from found
    where
        t.token_id = found.token_id
        and (found.last_used_at is null or found.last_used_at < now() - interval '1 minute')
)

select scope
from found

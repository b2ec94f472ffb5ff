-- A program by its access token, noted as used at most once a minute; its first use is in the audit log.
with found as (
    select t.token_id, t.name, t.scope, u.user_id, u.user_key, u.display_name, u.time_zone, t.last_used_at
    from app.access_tokens as t
    inner join app.users as u on u.user_id = t.user_id
    where
        t.token_hash = %(hash)s
        and t.revoked_at is null
        and (t.expires_at is null or t.expires_at > now())
),

used as (
    update app.access_tokens as t set last_used_at = now()
    from found
    where
        t.token_id = found.token_id
        -- Of the row as it is now: of two requests at once, one is the first.
        and (t.last_used_at is null or t.last_used_at < now() - interval '1 minute')
    returning found.token_id, found.name, found.scope, found.user_id, found.user_key, found.last_used_at
),

noted as (
    insert into app.audit (event, user_id, user_key, address, detail)
    select
        'token_first_used', user_id, user_key, left(%(address)s::text, 100),
        jsonb_build_object('token_id', token_id, 'name', name, 'scope', scope)
    from used
    where last_used_at is null
)

select user_id, user_key, display_name, time_zone, token_id, scope, earlier_zones
from found
cross join lateral (
    {% include 'access/earlier_zones.sql' %}
) as turns

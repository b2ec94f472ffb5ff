with sessions as (
    delete from app.sessions
    where
        last_seen_at <= now() - make_interval(days => %(idle_days)s)
        or created_at <= now() - make_interval(days => %(longest_days)s)
    returning 1
),

tokens as (
    delete from app.access_tokens
    where expires_at <= now() or revoked_at is not null
    returning 1
),

links as (
    delete from app.sign_in_links
    where expires_at <= now()
    returning 1
),

sign_ins as (
    delete from app.sign_ins
    where expires_at <= now()
    returning 1
),

attempts as (
    delete from app.sign_in_attempts
    where expires_at <= now() - interval '1 hour'
    returning 1
),

dagster_links as (
    delete from app.dagster_links
    where expires_at <= now()
    returning 1
),

dagster_sessions as (
    delete from app.dagster_sessions
    where
        last_seen_at <= now() - make_interval(days => %(idle_days)s)
        or created_at <= now() - make_interval(days => %(longest_days)s)
    returning 1
)

select
    (select count(*) from sessions)
    + (select count(*) from tokens)
    + (select count(*) from links)
    + (select count(*) from sign_ins)
    + (select count(*) from attempts)
    + (select count(*) from dagster_links)
    + (select count(*) from dagster_sessions) as ended

-- A browser that may use Dagster's pages, by a link or as an operator of the site; updates last_seen_at at most once a minute.
with by_link as (
    select session_id, last_seen_at
    from app.dagster_sessions
    where
        reference_hash = %(hash)s
        and last_seen_at > now() - make_interval(days => %(idle_days)s)
        and created_at > now() - make_interval(days => %(longest_days)s)
),

by_site as (
    select s.session_id, s.last_seen_at
    from app.sessions as s
    inner join app.users as u on u.user_id = s.user_id
    where
        s.reference_hash = %(hash)s
        and s.last_seen_at > now() - make_interval(days => %(idle_days)s)
        and s.created_at > now() - make_interval(days => %(longest_days)s)
        and u.is_operator
),

seen_by_link as (
    update app.dagster_sessions as s set last_seen_at = now()
    from by_link
    where s.session_id = by_link.session_id and by_link.last_seen_at < now() - interval '1 minute'
),

seen_by_site as (
    update app.sessions as s set last_seen_at = now()
    from by_site
    where s.session_id = by_site.session_id and by_site.last_seen_at < now() - interval '1 minute'
)

select 'operate' as scope
from by_link
union all
select 'operate'
from by_site

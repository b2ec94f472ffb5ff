-- A browser by its session, seen again at most once a minute.
with found as (
    select s.session_id, u.user_id, u.user_key, u.display_name, u.time_zone, s.last_seen_at
    from app.sessions as s
    inner join app.users as u on u.user_id = s.user_id
    where
        s.reference_hash = %(hash)s
        and s.last_seen_at > now() - make_interval(days => %(idle_days)s)
        and s.created_at > now() - make_interval(days => %(longest_days)s)
),

seen as (
    update app.sessions as s set last_seen_at = now()
    from found
    where s.session_id = found.session_id and found.last_seen_at < now() - interval '1 minute'
)

select user_id, user_key, display_name, time_zone, session_id, null as scope, earlier_zones
from found
cross join lateral (
    {% include 'access/earlier_zones.sql' %}
) as turns

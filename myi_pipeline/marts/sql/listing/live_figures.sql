select
    u.user_key,
    coalesce(p.plays, 0) as plays,
    coalesce(p.polled_only, 0) as polled_only,
    coalesce(p.confirmed, 0) as confirmed,
    coalesce(p.unknown_ms, 0) as unknown_ms,
    coalesce(g.gaps, 0) as gaps,
    coalesce(g.gap_hours, 0)::float8 as gap_hours
from marts.dim_users as u
left join lateral (
    select
        count(*) as plays,
        count(*) filter (where f.source = 'spotify_api') as polled_only,
        count(*) filter (where f.source <> 'spotify_api' and f.confirmed_by like '%%spotify_api%%') as confirmed,
        count(*) filter (where f.ms_played is null) as unknown_ms
    from marts.fct_plays as f
    where f.user_id = u.user_id
) as p on true
left join lateral (
    select
        count(*) as gaps,
        extract(epoch from sum(c.gap_end - c.gap_start)) / 3600 as gap_hours
    from marts.fct_coverage_gaps as c
    where c.user_id = u.user_id and c.is_evident and c.gap_end is not null
) as g on true
where u.user_key = any(%(user_keys)s)
order by u.user_id

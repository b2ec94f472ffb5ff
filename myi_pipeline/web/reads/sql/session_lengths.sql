-- How many sessions of a span lasted how long; a user has a few thousand a year.
select
    bounds.minutes_from,
    bounds.minutes_to,
    count(heard.session_id)::int as sessions,
    coalesce(sum(heard.ms_played), 0)::bigint as ms_played
from (
    values (0, 15), (15, 30), (30, 60), (60, 120), (120, 240), (240, null)
) as bounds (minutes_from, minutes_to)
left join marts.fct_sessions as heard
    on
        heard.user_id = %(user_id)s
        and heard.ended_at >= %(from_at)s
        and heard.ended_at < %(to_at)s
        and heard.ended_at - heard.started_at >= make_interval(mins => bounds.minutes_from)
        and (bounds.minutes_to is null or heard.ended_at - heard.started_at < make_interval(mins => bounds.minutes_to))
group by bounds.minutes_from, bounds.minutes_to
order by bounds.minutes_from

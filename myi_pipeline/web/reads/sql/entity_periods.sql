-- What was heard of one track, artist or album: in all, by year, by month. Months are counted from its plays.
{% include 'entity_years.sql' %}
union all
select
    'month',
    date_trunc('month', local_date::timestamp)::date,
    sum(plays)::int,
    sum(counted_plays)::int,
    sum(ms_played)::bigint,
    min(first_played_at),
    max(last_played_at)
from (
    -- By day first: a day is hashed in a third of the time that its month takes to work out.
    select
        play.local_date,
        count(*) as plays,
        count(*) filter (where play.is_counted) as counted_plays,
        coalesce(sum(play.ms_played), 0) as ms_played,
        min(play.played_at) as first_played_at,
        max(play.played_at) as last_played_at
    from (
        {% include 'plays_of_entity.sql' %}
    ) as play
    group by play.local_date
) as day
group by 2
order by period, period_start

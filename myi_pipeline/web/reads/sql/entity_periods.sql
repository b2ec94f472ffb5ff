-- What was heard of one track, artist or album: in all, by year, by month. Months are counted from its plays.
{% include 'entity_years.sql' %}
union all
{%- set figures %}
        count(*)::int as plays,
        (count(*) filter (where play.is_counted))::int as counted_plays,
        coalesce(sum(play.ms_played), 0)::bigint as ms_played,
        min(play.played_at) as first_played_at,
        max(play.played_at) as last_played_at
{%- endset %}
{%- if entity == 'artist' %}
select 'month', month.period_start, heard.*
from (
    -- The months of this listener, with their first play and last, that a year of the artist touches.
    select period_start, first_local_date, last_local_date, first_played_at, last_played_at
    from marts.agg_period_user as span
    where
        user_id = %(user_id)s
        and period = 'month'
        and exists (
            select from marts.agg_period_artists_stored as year
            where
                year.user_id = %(user_id)s
                and year.artist_id = %(id)s
                and year.period_start <> date '1970-01-01'
                and year.first_played_at <= span.last_played_at
                and year.last_played_at >= span.first_played_at
        )
    offset 0
) as month
cross join lateral (
    -- The plays of a month are a range of the index, and nothing is hashed: of many plays a quarter less time. A track has
    -- few, for which looking into each month would take longer. Where a time zone changes, two months share some hours,
    -- and the local date tells whose a play is.
    select
        {{- figures }}
    from (
        {% include 'plays_of_entity.sql' %}
            and played_at >= month.first_played_at
            and played_at <= month.last_played_at
            and local_date >= month.first_local_date
            and local_date <= month.last_local_date
    ) as play
    having count(*) > 0
) as heard
{%- else %}
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
        {{- figures }}
    from (
        {% include 'plays_of_entity.sql' %}
    ) as play
    group by play.local_date
) as day
group by 2
{%- endif %}
order by period, period_start

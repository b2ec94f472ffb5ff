-- The tracks, artists or albums of any span of days: whole years and months from their rows, the days at its ends from
-- plays.
{%- set id = entity ~ '_id' %}
{%- set source_id = 'content_id' if entity == 'track' else id %}
with parts as (
    select part.*
    from unnest(%(periods)s::text[], %(period_starts)s::date[]) as whole (period, period_start)
    cross join lateral (
        select {{ id }}, plays, counted_plays, ms_played, first_played_at, last_played_at
        from marts.agg_period_{{ entity }}s
        where user_id = %(user_id)s and period = whole.period and period_start = whole.period_start
        offset 0
    ) as part
    union all
    select play.{{ source_id }}, 1, play.is_counted::int, coalesce(play.ms_played, 0), play.played_at, play.played_at
    from unnest(%(first_days)s::date[], %(last_days)s::date[]) as span (first_day, last_day)
    cross join lateral (
        select {{ source_id }}, is_counted, ms_played, played_at
        from marts.fct_plays
        where
            user_id = %(user_id)s
            -- No zone is further from UTC than these.
            and played_at >= span.first_day::timestamp at time zone 'UTC' - interval '15 hours'
            and played_at < (span.last_day + 1)::timestamp at time zone 'UTC' + interval '15 hours'
            and local_date between span.first_day and span.last_day
            and kind = 'track'
            and {{ source_id }} is not null
        offset 0
    ) as play
),

heard as (
    select
        {{ id }},
        sum(plays)::int as plays,
        sum(counted_plays)::int as counted_plays,
        sum(ms_played)::bigint as ms_played,
        min(first_played_at) as first_played_at,
        max(last_played_at) as last_played_at
    from parts
    group by {{ id }}
),

top as (
    select *
    from heard
    where
        counted_plays < %(after_counted_plays)s
        or (
            counted_plays = %(after_counted_plays)s
            and (
                ms_played < %(after_ms_played)s
                or (ms_played = %(after_ms_played)s and {{ id }} > %(after_{{ id }})s)
            )
        )
    order by counted_plays desc, ms_played desc, {{ id }}
    limit %(limit)s
)

{% include 'marts/top_names.sql' %}

-- What was heard of each track, artist or album in some days: whole years from their rows, the days at both ends from
-- plays. The order of years comes from the index of top lists alone, a tenth of the pages that its rows lie on.
{%- set id = 'track_id' if entity == 'recording' else entity ~ '_id' %}
{%- set key = entity ~ '_id' %}
{%- set source_id = 'content_id' if id == 'track_id' else id %}
with whole as (
    select * from unnest(%(years)s::date[]) as given (year_start)
),

{{ 'odd_tracks' if entity == 'recording' else 'odd_days' }} as materialized (
    select
        {{ id }},
        count(*)::int as plays,
        (count(*) filter (where is_counted))::int as counted_plays,
        coalesce(sum(ms_played), 0) as ms_played,
        min(played_at) as first_played_at,
        max(played_at) as last_played_at
    from unnest(%(first_days)s::date[], %(last_days)s::date[]) as span (first_day, last_day)
    cross join lateral (
        select {{ source_id }} as {{ id }}, is_counted, ms_played, played_at
        from marts.fct_plays
        where
            user_id = %(user_id)s
            -- No zone is further from UTC than these.
            and played_at >= span.first_day::timestamp at time zone 'UTC' - interval '15 hours'
            and played_at < (span.last_day + 1)::timestamp at time zone 'UTC' + interval '15 hours'
            -- Said so that the planner expects half of them, not one in 200, and does not sort them.
            and coalesce(local_date between span.first_day and span.last_day, false)
            and kind = 'track'
            and {{ source_id }} is not null
        offset 0
    ) as play
    group by {{ id }}
),

{%- if entity == 'recording' %}

-- By track first: a few hundred are looked up, and not every play.
odd_days as materialized (
    select
        coalesce(decided.recording_id, its.recording_id, heard.track_id) as track_id,
        sum(heard.plays)::int as plays,
        sum(heard.counted_plays)::int as counted_plays,
        sum(heard.ms_played::float8)::bigint as ms_played,
        min(heard.first_played_at) as first_played_at,
        max(heard.last_played_at) as last_played_at
    from odd_tracks as heard
    left join (
        -- A person's decisions are few: read once, not looked up for each track.
        select track_id, recording_id
        from marts.bridge_user_recordings
        where user_id = %(user_id)s
        offset 0
    ) as decided on decided.track_id = heard.track_id
    left join (
        -- In one pass over the index, not one descent a track.
        select track_id, recording_id
        from marts.dim_tracks
        where track_id = any(array(select track_id from odd_tracks))
        offset 0
    ) as its on its.track_id = heard.track_id
    group by 1
),
{%- endif %}

heard as (
    select
        {{ id }},
        sum(counted_plays)::int as counted_plays,
        -- Whole numbers below 2^53, which this type adds up exactly, and several times faster than numeric does.
        sum(ms_played::float8)::bigint as ms_played
    from (
        select part.*
        from whole
        cross join lateral (
            select {{ key }} as {{ id }}, counted_plays, ms_played
            from marts.agg_period_{{ entity }}s_stored
            where user_id = %(user_id)s and period_start = whole.year_start
            offset 0
        ) as part
        union all
        select {{ id }}, counted_plays, ms_played
        from odd_days
    ) as parts
    group by {{ id }}
),

-- What was heard of one track, artist or album: in all, by year, by month. Months are counted from its plays, which an
-- index has; an album's are those of its tracks.
{%- set id = entity ~ '_id' %}
select
    case period_start when date '1970-01-01' then 'all' else 'year' end as period,
    period_start,
    plays,
    counted_plays,
    ms_played,
    first_played_at,
    last_played_at
from marts.agg_period_{{ entity }}s_stored
where user_id = %(user_id)s and {{ id }} = %(id)s
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
        {%- if entity == 'album' %}
        select on_it.*
        from marts.dim_tracks as track
        cross join lateral (
            select local_date, is_counted, ms_played, played_at
            from marts.fct_plays
            where content_id = track.track_id and user_id = %(user_id)s and album_id = %(id)s and kind = 'track'
            offset 0
        ) as on_it
        where track.album_id = %(id)s
        {%- else %}
        select local_date, is_counted, ms_played, played_at
        from marts.fct_plays
        where {{ 'content_id' if entity == 'track' else id }} = %(id)s and user_id = %(user_id)s and kind = 'track'
        {%- endif %}
    ) as play
    group by play.local_date
) as day
group by 2
order by period, period_start

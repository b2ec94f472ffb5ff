{{ config(materialized='view', meta={'security_invoker': true}) }}

{% for period in ['all', 'year'] -%}
select
    user_id,
    '{{ period }}' as period,
    period_start,
    genre_id,
    plays,
    counted_plays,
    ms_played,
    counted_sixths
from {{ ref('agg_period_genres_stored') }}
where period_start {{ '=' if period == 'all' else '<>' }} {{ beginning() }}
union all
{% endfor -%}
{% for period, start in [('month', month_of('play.local_date')), ('week', week_of('play.local_date'))] -%}
select
    span.user_id,
    '{{ period }}' as period,
    span.period_start,
    genre.genre_id,
    count(*)::int as plays,
    (count(*) filter (where play.is_counted))::int as counted_plays,
    coalesce(sum(play.ms_played), 0)::bigint as ms_played,
    coalesce(sum(genre.sixths) filter (where play.is_counted), 0)::int as counted_sixths
from {{ ref('agg_period_user') }} as span
inner join {{ ref('fct_plays') }} as play
    on
        play.user_id = span.user_id
        and play.played_at >= span.first_played_at
        and play.played_at <= span.last_played_at
        and span.period_start = {{ start }}
inner join {{ ref('bridge_track_genres') }} as genre on genre.track_id = play.content_id
where span.period = '{{ period }}' and play.kind = 'track'
group by span.user_id, span.period_start, genre.genre_id
{{ 'union all' if not loop.last }}
{% endfor %}

-- Counted from plays when read: few of them are of shows, and those of a period are found by their time.
{{ config(materialized='view', meta={'security_invoker': true}) }}

{%- set starts = {'all': beginning(), 'year': year_of('play.local_date'), 'month': month_of('play.local_date'),
                  'week': week_of('play.local_date')} %}

{%- for period, start in starts.items() %}
select
    span.user_id,
    '{{ period }}' as period,
    span.period_start,
    contents.show_id,
    {{ period_figures('play.') }}
from {{ ref('agg_period_user') }} as span
inner join {{ ref('fct_plays') }} as play
    on
        play.user_id = span.user_id
        and play.played_at >= span.first_played_at
        and play.played_at <= span.last_played_at
        and span.period_start = {{ start }}
inner join {{ ref('dim_contents') }} as contents on contents.content_id = play.content_id
where span.period = '{{ period }}' and play.kind in ('episode', 'chapter') and contents.show_id is not null
group by span.user_id, span.period_start, contents.show_id
{{ 'union all' if not loop.last }}
{%- endfor %}

-- Plays, counted plays and time heard of a user are the same whichever mart adds them up.
with totals as (
    {%- for mart in ['fct_plays', 'agg_day_user', 'agg_hour_user', 'agg_clock_user', 'agg_period_user', 'fct_sessions'] %}
    select
        mart_row.user_id,
        '{{ mart }}' as mart,
        {%- if mart == 'fct_plays' %}
        count(*) as plays,
        count(*) filter (where mart_row.is_counted) as counted_plays,
        {%- else %}
        sum(mart_row.plays) as plays,
        sum(mart_row.counted_plays) as counted_plays,
        {%- endif %}
        coalesce(sum(mart_row.ms_played), 0) as ms_played
    from {{ last_touched_rows(ref(mart)) }} as mart_row
    {%- if mart == 'agg_period_user' %}
    where mart_row.period = 'all'
    {%- endif %}
    group by mart_row.user_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    user_id,
    array_agg(mart || ': ' || plays || ', ' || counted_plays || ', ' || ms_played order by mart) as by_mart
from totals
group by user_id
having count(*) <> 6 or count(distinct row(plays, counted_plays, ms_played)) > 1

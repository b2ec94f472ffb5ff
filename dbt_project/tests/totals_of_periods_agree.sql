-- What a user heard, of tracks, of artists, of albums and in all, adds up to the same in every period.
with totals as (
    {%- for entity in ['tracks', 'artists', 'albums', 'user'] %}
    select
        touched.user_id,
        '{{ entity }}' as entity,
        mart_row.period,
        sum(mart_row.plays) as plays,
        sum(mart_row.ms_played) as ms_played
    from {{ last_touched_users() }} as touched
    inner join {{ ref('agg_period_' ~ entity) }} as mart_row on mart_row.user_id = touched.user_id
    group by touched.user_id, mart_row.period
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    user_id,
    entity
from totals
group by user_id, entity
having count(*) <> 4 or count(distinct row(plays, ms_played)) > 1

-- What a user heard of tracks, recordings, artists and albums, and overall, adds up to the same in every stored period;
-- weeks and months of all but the last are counted from plays when read.
with totals as (
    {%- for entity in ['tracks', 'recordings', 'artists', 'albums'] %}
    select
        mart_row.user_id,
        '{{ entity }}' as entity,
        case when mart_row.period_start = {{ beginning() }} then 'all' else 'year' end as period,
        2 as kept,
        sum(mart_row.plays) as plays,
        sum(mart_row.ms_played) as ms_played
    from {{ last_touched_rows(ref('agg_period_' ~ entity ~ '_stored')) }} as mart_row
    group by 1, 2, 3
    union all
    {%- endfor %}
    select
        mart_row.user_id,
        'user',
        mart_row.period,
        4,
        sum(mart_row.plays),
        sum(mart_row.ms_played)
    from {{ last_touched_rows(ref('agg_period_user')) }} as mart_row
    group by mart_row.user_id, mart_row.period
)

select
    user_id,
    entity
from totals
group by user_id, entity, kept
having count(*) <> kept or count(distinct row(plays, ms_played)) > 1

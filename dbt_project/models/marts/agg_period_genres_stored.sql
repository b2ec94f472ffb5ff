{{ config(
    meta={'slices': 'touched_genre_years', 'slice_keys': ['user_id', 'period_start'],
          'order_by': 'user_id, period_start, genre_id'},
    indexes=[{'columns': ['user_id', 'period_start', 'genre_id'], 'unique': true}],
) }}

with genres as (
    select * from {{ ref('bridge_track_genres') }}
),

{% if is_incremental() -%}
touched as materialized (
    select user_id, year_start from {{ genre_years() }} as genre_years
),

years as materialized (
    select heard.user_id, heard.period_start, genre.genre_id, {{ genre_figures() }}
    from touched
    cross join lateral (
        select *
        from {{ ref('agg_period_tracks_stored') }}
        where user_id = touched.user_id and period_start = touched.year_start
        offset 0
    ) as heard
    inner join genres as genre on genre.track_id = heard.track_id
    group by heard.user_id, heard.period_start, genre.genre_id
),

every_year as (
    select * from years
    union all
    select standing.*
    from (select distinct user_id from touched) as listener
    cross join lateral (
        select user_id, period_start, genre_id, plays, counted_plays, ms_played, counted_sixths
        from {{ this }}
        where user_id = listener.user_id and period_start <> {{ beginning() }}
        offset 0
    ) as standing
    where (standing.user_id, standing.period_start) not in (select user_id, year_start from touched)
)
{%- else -%}
years as materialized (
    select heard.user_id, heard.period_start, genre.genre_id, {{ genre_figures() }}
    from {{ ref('agg_period_tracks_stored') }} as heard
    inner join genres as genre on genre.track_id = heard.track_id
    where heard.period_start <> {{ beginning() }}
    group by heard.user_id, heard.period_start, genre.genre_id
),

every_year as (
    select * from years
)
{%- endif %}

select
    user_id,
    period_start,
    genre_id,
    plays,
    counted_plays,
    ms_played,
    counted_sixths
from years
union all
select
    user_id,
    {{ beginning() }},
    genre_id,
    sum(plays)::int,
    sum(counted_plays)::int,
    sum(ms_played)::bigint,
    sum(counted_sixths)::int
from every_year
group by user_id, genre_id

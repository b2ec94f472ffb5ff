{#
  What a listener heard of each genre. A play counts fully for each genre of its track (at most three), and in sixths
  for its share: the sixths of all genres add up to six times the counted plays with a known genre.
#}

{% macro genre_figures() -%}
    sum(heard.plays)::int as plays,
    sum(heard.counted_plays)::int as counted_plays,
    sum(heard.ms_played)::bigint as ms_played,
    sum(heard.counted_plays * genre.sixths)::int as counted_sixths
{%- endmacro %}

{#
  The slices of agg_period_genres_stored: a user's years in which plays or genres of any track changed, and all time.
#}
{% macro touched_genre_years() -%}
    select distinct touched.user_id, period.period_start
    from {{ genre_years() }} as touched
    cross join lateral (values (touched.year_start), ({{ beginning() }})) as period (period_start)
{%- endmacro %}

{# A relation: those years of users. #}
{% macro genre_years() -%}
    (
        select user_id, year_start
        from {{ source('ops', 'touched_entities') }}
        where entity_kind = {{ entity_kind_number('track') }}
        union
        select standing.user_id, standing.period_start
        from {{ run_tracks() }} as track
        cross join lateral (
            select user_id, period_start
            from {{ ref('agg_period_tracks_stored') }}
            where track_id = track.track_id and period_start <> {{ beginning() }}
            offset 0
        ) as standing
    )
{%- endmacro %}

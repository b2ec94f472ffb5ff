{#
  The keys that a run recomputes because plays were added or removed: ops.touched_dates, ops.touched_entities. Plays are
  read through the index (user_id, played_at) by lateral subqueries, which `offset 0` keeps separate: the cost depends
  only on what was touched, whatever the planner estimates for a run's small tables.
#}

{# The values of ops.touched_entities.entity_kind; its dates are first days of years. #}
{% macro entity_kind_number(entity) -%}
    {{ return({'track': 1, 'artist': 2, 'album': 3}[entity]) }}
{%- endmacro %}

{# A relation: users with any touched local date. #}
{% macro touched_users() -%}
    (select distinct user_id from {{ source('ops', 'touched_dates') }})
{%- endmacro %}

{# The slices of the marts by user and local date. #}
{% macro touched_days() -%}
    select user_id, local_date from {{ source('ops', 'touched_dates') }}
{%- endmacro %}

{#
  Moments in UTC before which, or from which on, no zone of the world has that date (offsets range from -12 h to +14 h).
#}
{% macro surely_before(local_date) -%}
    (({{ local_date }} - 1)::timestamp at time zone 'UTC')
{%- endmacro %}

{% macro surely_after(local_date) -%}
    (({{ local_date }} + 2)::timestamp at time zone 'UTC')
{%- endmacro %}

{# A relation: the touched local dates of each user, with consecutive dates as one span. #}
{% macro touched_spans() -%}
    (
        select user_id, min(local_date) as first_date, max(local_date) as last_date
        from (
            select user_id, local_date, local_date - row_number() over (partition by user_id order by local_date)::int as span
            from {{ source('ops', 'touched_dates') }}
        ) as numbered
        group by user_id, span
    )
{%- endmacro %}

{# The plays of every touched local date, each once; all plays when the model is built whole. #}
{% macro plays_of_touched_dates() -%}
    {%- if is_incremental() -%}
    select play.*
    from {{ touched_spans() }} as touched
    cross join lateral (
        select *
        from {{ ref('fct_plays') }}
        where
            user_id = touched.user_id
            and played_at >= {{ surely_before('touched.first_date') }}
            and played_at < {{ surely_after('touched.last_date') }}
            and local_date between touched.first_date and touched.last_date
        offset 0
    ) as play
    {%- else -%}
    select * from {{ ref('fct_plays') }}
    {%- endif -%}
{%- endmacro %}

{#
  For a row of fct_plays or fct_plays_stored, the first local date on which any of its hours is counted (see
  agg_hour_user).
#}
{% macro first_counted_date(stored=false) -%}
    {%- set started = 'local_date - coalesce(started_days_before, 0)' if stored else 'started_local_date' -%}
    case when ms_played >= {{ var('spread_from_ms') }} then {{ started }} else local_date end
{%- endmacro %}

{#
  The plays of which any hour is counted on a touched local date, with the span of dates for which they are read: a play
  on dates of two spans is returned for each. No ms_played reaches further back than 25 days (it is an int).
#}
{% macro plays_within_touched_dates() -%}
    {%- if is_incremental() -%}
    select play.*, touched.first_date, touched.last_date
    from {{ touched_spans() }} as touched
    cross join lateral (
        select *
        from {{ ref('fct_plays') }}
        where
            user_id = touched.user_id
            and played_at >= {{ surely_before('touched.first_date') }}
            and played_at < {{ surely_after('touched.last_date') }} + interval '25 days'
            and local_date >= touched.first_date
            and {{ first_counted_date() }} <= touched.last_date
        offset 0
    ) as play
    {%- else -%}
    select *, date '-infinity' as first_date, date 'infinity' as last_date from {{ ref('fct_plays') }}
    {%- endif -%}
{%- endmacro %}

{# The slices of agg_period_user, each with the day after it. #}
{% macro touched_periods_of_users() -%}
    select distinct touched.user_id, period.period, period.period_start, period.next_start
    from {{ source('ops', 'touched_dates') }} as touched
    cross join lateral ({{ periods_of('touched.local_date') }}) as period (period, period_start, next_start)
{%- endmacro %}

{# The slices of agg_clock_user, the same way. #}
{% macro touched_years() -%}
    select distinct
        user_id,
        {{ year_of('local_date') }} as year_start,
        ({{ year_of('local_date') }} + interval '1 year')::date as next_start
    from {{ source('ops', 'touched_dates') }}
{%- endmacro %}

{# The slices of fct_first_plays_stored. #}
{% macro touched_firsts() -%}
    select distinct
        user_id,
        case entity_kind when 1 then 'track' when 2 then 'artist' else 'album' end as entity_kind,
        entity_id
    from {{ source('ops', 'touched_entities') }}
{%- endmacro %}

{# A relation: the users whose rows this run may have changed. #}
{% macro touched_listeners() -%}
    (
        select user_id from {{ run_days() }} as run_day
        union
        select user_id from {{ run_users() }} as run_user
        union
        select user_id from {{ source('ops', 'touched_dates') }}
        union
        select user_id from {{ source('ops', 'touched_recordings') }}
        union
        select user_id from {{ genre_years() }} as genre_year
        union
        select user_id from {{ run_playlists() }} as run_playlist
    )
{%- endmacro %}

{# An expression: the recording of a track, for a user. Looked up one by one: a run touches few tracks out of many. #}
{% macro recording_of(user_id, track_id) -%}
coalesce(
                (
                    select decided.recording_id from {{ source('ops', 'user_recordings') }} as decided
                    where decided.user_id = {{ user_id }} and decided.content_id = {{ track_id }}
                ),
                (
                    select resolved.recording_id from {{ source('ops', 'content_recordings') }} as resolved
                    where resolved.content_id = {{ track_id }}
                ),
                {{ track_id }}
            )
{%- endmacro %}

{#
  The slices of agg_period_recordings_merged: the periods of touched tracks, and of recordings whose tracks have
  changed.
#}
{% macro touched_recordings() -%}
    select touched.user_id, touched.recording_id, period.period_start
    from (
        select distinct
            user_id,
            year_start,
            {{ recording_of('entity.user_id', 'entity.entity_id') }} as recording_id
        from {{ source('ops', 'touched_entities') }} as entity
        where entity_kind = {{ entity_kind_number('track') }}
    ) as touched
    cross join lateral (values (touched.year_start), ({{ beginning() }})) as period (period_start)
    union
    select user_id, recording_id, period_start from {{ source('ops', 'touched_recordings') }}
{%- endmacro %}

{# A query: every track of these recordings, with their periods, whether it was heard in them or not. #}
{% macro tracks_of_touched_recordings() -%}
    select touched.user_id, touched.recording_id, touched.period_start, member.track_id
    from ({{ touched_recordings() }}) as touched
    cross join lateral (
        {{ tracks_of_recording('touched.user_id', 'touched.recording_id') }}
    ) as member
{%- endmacro %}

{# The slices of agg_period_tracks_stored: a row also changes when another track of its recording comes or goes. #}
{% macro touched_tracks() -%}
    {{ touched_years_of('track') }}
    union
    select user_id, track_id, period_start from ({{ tracks_of_touched_recordings() }}) as member
{%- endmacro %}

{# A query: the tracks that one listener's marts count towards a recording. #}
{% macro tracks_of_recording(user_id, recording_id) -%}
        select resolved.content_id as track_id
        from {{ ref('int_recordings__resolved') }} as resolved
        where
            resolved.recording_id = {{ recording_id }}
            and not exists (
                select from {{ ref('bridge_user_recordings') }} as decided
                where decided.user_id = {{ user_id }} and decided.track_id = resolved.content_id
            )
        union all
        select track_id
        from {{ ref('bridge_user_recordings') }}
        where user_id = {{ user_id }} and recording_id = {{ recording_id }}
        offset 0
{%- endmacro %}

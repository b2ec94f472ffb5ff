-- depends_on: {{ ref('stg_app__corrections') }}
-- depends_on: {{ ref('stg_raw__contents') }}
-- depends_on: {{ ref('int_plays__resolved') }}
-- depends_on: {{ ref('stg_raw__listening_events') }}
-- depends_on: {{ ref('stg_raw__sources') }}
-- depends_on: {{ ref('int_plays__matched') }}
-- depends_on: {{ ref('int_plays__paired') }}
-- depends_on: {{ ref('int_plays__polled_again') }}
-- depends_on: {{ ref('stg_raw__sources') }}
{{ config(
    pre_hook="{{ hash_joins_of_many_days() }}",
    meta={'slices': 'run_days', 'order_by': 'user_id, played_at, play_id'},
    indexes=[
        {'columns': ['user_id', 'played_at', 'play_id'], 'unique': true},
        {'columns': ['content_id']},
    ],
) }}

{%- if not any_corrections() %}
-- Nobody in this run has corrections: the parts that would find that out row by row are left out.
select
    null::int as user_id,
    null::timestamptz as played_at,
    null::bigint as play_id,
    null::int as content_id,
    null::text as withheld,
    null::int as shift_s,
    null::int as to_content_id
where false
{%- else %}

with corrections as materialized (
    select correction.*
    from {{ ref('stg_app__corrections') }} as correction
    {%- if is_incremental() %}
    where correction.user_id in (select user_id from {{ run_days() }} as run_day)
    {%- endif %}
),

plays as materialized (
    select
        event.user_id,
        event.played_at,
        event.play_id,
        event.source_id,
        contents.content_id,
        contents.artist_id,
        coalesce(contents.kind, 'unknown') as kind
    from {{ '(' ~ resolution(is_of_run_days=true) ~ ')' if is_incremental() else ref('int_plays__resolved') }} as event
    left join {{ ref('stg_raw__contents') }} as named on named.content_id = event.play_content_id
    left join {{ ref('stg_raw__contents') }} as contents on contents.content_id = named.canonical_id
    where event.is_canonical and event.user_id in (select user_id from corrections)
),

-- A correction of one play applies to the play that now contains its event. Lateral with offset 0: each is found by its
-- key.
named as (
    select correction.*, event.play_id
    from corrections as correction
    cross join lateral (
        select play_id
        from {{ ref('int_plays__resolved') }}
        where
            user_id = correction.user_id
            and played_at = correction.event_at
            and event_id = correction.event_id
        offset 0
    ) as event
    where correction.event_id is not null
),

applied as (
    select plays.*, named.correction_id, named.action, named.shift_s, named.to_content_id
    from plays
    inner join named on named.user_id = plays.user_id and named.play_id = plays.play_id
    where {{ describes('named', 'plays') }}
    union all
    select plays.*, described.correction_id, described.action, described.shift_s, described.to_content_id
    from plays
    inner join corrections as described on described.user_id = plays.user_id and described.event_id is null
    where {{ describes('described', 'plays') }}
)

-- Each correction looks only at what the sources report, so their order does not matter. Deleting takes precedence over
-- hiding; of several times or contents, the last correction applies.
select
    user_id,
    played_at,
    play_id,
    content_id,
    case when bool_or(action = 'delete') then 'deleted' when bool_or(action = 'hide') then 'hidden' end as withheld,
    (array_agg(shift_s order by correction_id desc) filter (where shift_s is not null))[1] as shift_s,
    (array_agg(to_content_id order by correction_id desc) filter (where to_content_id is not null))[1] as to_content_id
from applied
group by user_id, played_at, play_id, content_id
{%- endif %}

{{ config(
    meta={'slices': 'run_days',
          'slice_condition': 'target.user_id = slice.user_id and target.snapshot_date = slice.utc_day',
          'order_by': 'user_id, snapshot_date, entity_kind, term, rank'},
    indexes=[
        {'columns': ['user_id', 'snapshot_date', 'entity_kind', 'term', 'rank'], 'unique': true},
        {'columns': ['user_id', 'entity_kind', 'entity_id', 'term', 'snapshot_date']},
    ],
) }}

with items as (
    {%- if is_incremental() %}
    -- Lateral with offset 0: a day is found by the key, whatever the planner estimates for the run's days.
    select item.*
    from {{ run_days() }} as run_day
    cross join lateral (
        select *
        from {{ ref('stg_raw__top_items') }}
        where user_id = run_day.user_id and snapshot_date = run_day.utc_day
        offset 0
    ) as item
    {%- else %}
    select * from {{ ref('stg_raw__top_items') }}
    {%- endif %}
),

contents as (
    select * from {{ ref('stg_raw__contents') }}
)

select
    items.user_id,
    items.snapshot_date,
    items.snapshot_at,
    items.entity_kind,
    items.term,
    items.rank,
    coalesce(contents.canonical_id, items.artist_id) as entity_id
from items
left join contents on contents.content_id = items.content_id

-- Every raw event is in the resolution exactly once, and every play is in fct_plays_stored exactly once, except those
-- that their listener deleted. For the listeners of the last mart run, excluding listeners with newer data.
with listeners as (
    select touched.user_id
    from {{ last_touched_users() }} as touched
    where
        touched.user_id not in (select user_id from {{ source('ops', 'changed_days') }})
        and touched.user_id not in (select user_id from {{ source('ops', 'changed_users') }})
),

counts as (
    select
        listeners.user_id,
        (
            select count(*) from {{ ref('stg_raw__listening_events') }} as event
            where event.user_id = listeners.user_id
        ) as events,
        (
            select count(*) from {{ ref('int_plays__resolved') }} as event
            where event.user_id = listeners.user_id
        ) as resolved,
        (
            select count(*) from {{ ref('int_plays__resolved') }} as event
            where event.user_id = listeners.user_id and event.is_canonical
        ) as canonical,
        (
            select count(*) from {{ ref('fct_plays_stored') }} as play
            where play.user_id = listeners.user_id
        ) as plays,
        (
            select count(*) from {{ ref('int_plays__corrected') }} as play
            where play.user_id = listeners.user_id and play.withheld = 'deleted'
        ) as deleted
    from listeners
)

select *
from counts
where events <> resolved or canonical <> plays + deleted

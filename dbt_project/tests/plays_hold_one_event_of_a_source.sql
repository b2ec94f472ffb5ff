-- A play of several events has one canonical event, at most one event of each archive and, of each service or player that
-- reports live, only events of one second. For the listeners of the last mart run, excluding listeners with newer data.
with collapsed as materialized (
    select resolved.user_id, resolved.play_id
    from {{ last_touched_rows(ref('int_plays__resolved')) }} as resolved
    where
        resolved.user_id not in (select user_id from {{ source('ops', 'changed_days') }})
        and resolved.user_id not in (select user_id from {{ source('ops', 'changed_users') }})
    group by resolved.user_id, resolved.play_id
    having count(*) <> count(distinct resolved.source_id) or count(*) filter (where resolved.is_canonical) <> 1
),

events as materialized (
    select
        collapsed.play_id,
        resolved.is_canonical,
        event.user_id,
        event.played_at,
        event.event_id,
        event.source_id,
        sources.arrives = 'archive' as is_archived,
        {{ origin('sources', 'contexts') }} as origin,
        event.batch_id
    from collapsed
    inner join {{ last_touched_rows(ref('int_plays__resolved')) }} as resolved
        on resolved.user_id = collapsed.user_id and resolved.play_id = collapsed.play_id
    inner join {{ last_touched_rows(ref('stg_raw__listening_events')) }} as event
        on
            event.user_id = resolved.user_id
            and event.played_at = resolved.played_at
            and event.event_id = resolved.event_id
    inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = event.source_id
    left join {{ ref('stg_raw__contexts') }} as contexts on contexts.context_id = event.context_id
    -- Usually there is none, and then nothing is read twice.
    where exists (select from collapsed)
),

archive_events as (
    select * from events where is_archived
),

held as (
    -- Account data and extended history may be in one folder.
    select event.user_id, event.play_id, event.source_id, archive.import_id, archive.export_no
    from archive_events as event
    inner join {{ archives_of_events('archive_events') }} as archive
        on archive.user_id = event.user_id and archive.event_id = event.event_id
)

select user_id, play_id
from held
group by user_id, play_id, source_id, import_id, export_no
having count(*) > 1
union
select user_id, play_id
from events
group by user_id, play_id
having count(*) filter (where is_canonical) <> 1
union
select user_id, play_id
from events
where not is_archived
group by user_id, play_id, source_id, origin
having count(*) > 1 and max(played_at) - min(played_at) >= (count(*) - 1) * interval '1 second'
union
select matched.user_id, matched.play_id
from {{ last_touched_rows(ref('int_plays__matched')) }} as matched
group by matched.user_id, matched.play_id
having count(*) filter (where matched.is_canonical) <> 1 or count(*) < 2

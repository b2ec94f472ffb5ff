-- No play holds two rows of one archive; of what a service or a player reports live it may hold several, of one second.
with sampled as (
    select users.user_id
    from app.users as users
    where not exists (
        select from ops.changed_users as changed
        where changed.user_id = users.user_id and changed.scope = 'everything'
    )
    order by random()
    limit %(users)s
),

collapsed as (
    select resolved.user_id, resolved.play_id, resolved.source_id
    from intermediate.int_plays__resolved as resolved
    inner join sampled on sampled.user_id = resolved.user_id
    group by resolved.user_id, resolved.play_id, resolved.source_id
    having count(*) > 1
),

events as (
    select
        collapsed.play_id,
        event.user_id,
        event.played_at,
        event.source_id,
        event.content_id,
        event.ms_played,
        event.occurrence,
        event.batch_id,
        source.arrives = 'archive' as is_archived,
        case when source.arrives = 'pushed' then coalesce(context.platform, '') else '' end as origin
    from collapsed
    inner join intermediate.int_plays__resolved as resolved
        on
            resolved.user_id = collapsed.user_id
            and resolved.play_id = collapsed.play_id
            and resolved.source_id = collapsed.source_id
    inner join raw.listening_events as event
        on
            event.user_id = resolved.user_id
            and event.played_at = resolved.played_at
            and event.source_id = resolved.source_id
            and event.content_id is not distinct from resolved.content_id
            and event.ms_played is not distinct from resolved.ms_played
            and event.occurrence = resolved.occurrence
    inner join raw.sources as source on source.source_id = event.source_id
    left join raw.contexts as context on context.context_id = event.context_id
),

noted as (
    select
        events.user_id,
        events.play_id,
        events.source_id,
        events.played_at,
        events.content_id,
        events.occurrence,
        events.batch_id,
        holder.import_id,
        holder.export_no
    from events
    inner join raw.event_holders as holder
        on
            holder.user_id = events.user_id
            and holder.played_at = events.played_at
            and holder.source_id = events.source_id
            and holder.content_id is not distinct from events.content_id
            and holder.ms_played is not distinct from events.ms_played
            and holder.occurrence = events.occurrence
),

held as (
    select user_id, play_id, source_id, import_id, export_no
    from noted
    union all
    select user_id, play_id, source_id, batch_id, 0
    from events
    where
        is_archived
        -- If one archive has several exports, each is noted.
        and not exists (
            select from noted
            where
                noted.user_id = events.user_id
                and noted.play_id = events.play_id
                and noted.source_id = events.source_id
                and noted.played_at = events.played_at
                and noted.content_id is not distinct from events.content_id
                and noted.occurrence = events.occurrence
                and noted.import_id = events.batch_id
        )
),

broken as (
    select user_id, play_id
    from held
    group by user_id, play_id, source_id, import_id, export_no
    having count(*) > 1
    union
    select user_id, play_id
    from events
    where not is_archived
    group by user_id, play_id, source_id, origin
    having count(*) > 1 and max(played_at) - min(played_at) >= (count(*) - 1) * interval '1 second'
)

select (select count(*) from sampled), (select count(*) from broken)

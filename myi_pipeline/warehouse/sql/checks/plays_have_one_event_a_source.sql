-- The one exception of the resolution: an event without content and the same event with one, from another archive.
with estimate as (
    select greatest(sum(child.reltuples), 1) as events
    from pg_inherits as link
    inner join pg_class as child on child.oid = link.inhrelid
    where link.inhparent = 'raw.listening_events'::regclass
),

sampled as (
    select users.user_id
    from app.users as users
    where not exists (
        select from ops.changed_users as changed
        where changed.user_id = users.user_id and changed.scope = 'everything'
    )
    order by random()
    limit (
        select greatest(1, ceil(%(events)s::float8 * (select count(*) from app.users) / estimate.events))::bigint
        from estimate
    )
),

collapsed as (
    select resolved.user_id, resolved.play_id
    from intermediate.int_plays__resolved as resolved
    inner join sampled on sampled.user_id = resolved.user_id
    group by resolved.user_id, resolved.play_id, resolved.source_id
    having
        count(*) > 1
        and not (count(*) = 2 and count(resolved.content_id) = 1)
)

select (select count(*) from sampled), (select count(*) from collapsed)

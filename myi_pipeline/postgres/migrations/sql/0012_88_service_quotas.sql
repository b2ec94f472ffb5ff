-- New services must be added to this case expression; there is deliberately no default.
create or replace view ops.service_obstacles as
select
    linked.user_id,
    linked.service,
    obstacle.rank,
    obstacle.name as obstacle,
    coalesce(obstacle.stands_from, '-infinity') as stands_from,
    obstacle.stands_until
from app.linked_services as linked
left join ops.quota_blocks as block
    on
        block.client_id = case linked.service when 'lastfm' then 'last.fm' when 'listenbrainz' then 'listenbrainz.org' end
        and block.bucket = 'personal'
left join ops.service_states as poll on poll.user_id = linked.user_id and poll.service = linked.service
cross join lateral (
    values
    (3, 'paused', linked.paused_at is not null, null::timestamptz, null::timestamptz),
    (6, 'quota_blocked', block.client_id is not null, block.blocked_at - interval '1 minute', block.blocked_until),
    (
        8, 'cooling_down', poll.polled_at is not null,
        poll.polled_at - interval '1 minute', poll.polled_at + interval '1 minute'
    ),
    (
        9, 'not_due', poll.due_at is not null,
        -- No poll is due more than 25 hours ahead.
        greatest(poll.due_at - interval '25 hours', poll.polled_at - interval '1 minute'), poll.due_at
    )
) as obstacle (rank, name, stands, stands_from, stands_until)
where obstacle.stands;

-- The one rule for whether a user may be polled. An obstacle stands from stands_from until stands_until (NULL: without
-- an end); of several, the one of the lowest rank is the reason. Which of them matter is the reader's question: a run
-- of due users minds not_due and just_polled, a person who asks minds cooling_down instead, --force none of the three.
-- A time more than a minute in the future was written by a clock that was wrong, and is ignored.
create view ops.poll_obstacles as
select
    u.user_id,
    obstacle.rank,
    obstacle.name as obstacle,
    coalesce(obstacle.stands_from, '-infinity') as stands_from,
    obstacle.stands_until
from app.users as u
left join app.credentials as login on login.user_id = u.user_id
left join ops.circuits as circuit on circuit.user_id = u.user_id and circuit.state <> 'closed'
left join ops.quota_blocks as block on block.client_id = login.client_id and block.bucket = 'polls'
left join ops.poll_states as poll on poll.user_id = u.user_id
cross join lateral (
    values
    (1, 'not_signed_in', login.user_id is null, null::timestamptz, null::timestamptz),
    (2, 'sign_in_ended', login.status <> 'active', null, null),
    (3, 'paused', login.paused_at is not null, null, null),
    (4, 'not_allowed', not 'user-read-recently-played' = any(login.scopes), null, null),
    (
        5, 'circuit_open', circuit.user_id is not null,
        case circuit.state when 'open' then circuit.opened_at else circuit.probe_at end - interval '1 minute',
        -- A request that was let through and said nothing for five minutes was killed.
        case circuit.state when 'open' then circuit.open_until else circuit.probe_at + interval '5 minutes' end
    ),
    (6, 'quota_blocked', block.client_id is not null, block.blocked_at - interval '1 minute', block.blocked_until),
    (
        7, 'just_polled', poll.polled_at is not null,
        poll.polled_at - interval '1 minute', poll.polled_at + interval '3 minutes'
    ),
    (
        8, 'cooling_down', poll.polled_at is not null,
        poll.polled_at - interval '1 minute', poll.polled_at + interval '5 minutes'
    ),
    (
        9, 'not_due', poll.due_at is not null,
        -- No turn is further ahead than 25 hours.
        greatest(poll.due_at - interval '25 hours', poll.polled_at - interval '1 minute'), poll.due_at
    )
) as obstacle (rank, name, stands, stands_from, stands_until)
where obstacle.stands;
comment on view ops.poll_obstacles is
'What keeps a user from being polled, from when until when (NULL: without an end); the lowest rank is the reason.';
grant select on ops.poll_obstacles to {ingest}, {app};

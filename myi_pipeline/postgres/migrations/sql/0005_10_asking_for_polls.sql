-- What a person sees of their polling and does about it, without a right on ops.poll_states, which decides what is asked
-- of Spotify: a turn can be brought forward to now, and nothing else.
create function ops.polling_of(asked_user int) returns table (polled_at timestamptz, due_at timestamptz, failures int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select state.polled_at, state.due_at, state.failures
    from ops.poll_states as state
    where state.user_id = asked_user
$$;
comment on function ops.polling_of(int) is 'When a user was polled last and is due next; no row before the first poll.';

create function ops.poll_sooner(asked_user int, asked_at timestamptz) returns boolean
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with sooner as (
        update ops.poll_states set due_at = asked_at
        where user_id = asked_user and due_at > asked_at
        returning 1
    )
    select exists (select from sooner)
$$;
comment on function ops.poll_sooner(int, timestamptz) is
'Brings a user''s turn forward to this moment; false when it has come already. Circuits and quota are looked at when the poll runs.';

revoke all on function ops.polling_of(int), ops.poll_sooner(int, timestamptz) from public;
grant execute on function ops.polling_of(int), ops.poll_sooner(int, timestamptz) to {app};

-- What a page did not say: fields that were left out, pages that are empty although plays were known or that are dated
-- ahead of now from first to last, and the reason of the last failure.
alter table ops.polls add column unread_fields jsonb;
comment on column ops.polls.unread_fields is
'Fields that could not be read and were left out, with the number of items each; null when there were none.';

alter table ops.polls drop constraint polls_outcome_check;
alter table ops.polls add constraint polls_outcome_check
check (outcome in ('new', 'known', 'gap', 'none', 'empty', 'ahead'));

alter table ops.poll_states add column last_error text;
comment on column ops.poll_states.last_error is 'Why the last poll failed; null when it did not.';

drop function ops.polling_of(int);
create function ops.polling_of(asked_user int)
returns table (polled_at timestamptz, due_at timestamptz, failures int, last_error text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select state.polled_at, state.due_at, state.failures, state.last_error
    from ops.poll_states as state
    where state.user_id = asked_user
$$;
comment on function ops.polling_of(int) is 'When a user was polled last and is due next, and why the last poll failed.';
revoke all on function ops.polling_of(int) from public;
grant execute on function ops.polling_of(int) to {app};

-- The pace of polling: what a client id can afford, as far as a 429 taught it. NULL: nothing was learnt, plan by the settings.
alter table ops.quota_clients add column polls_a_day real check (polls_a_day > 0);
alter table ops.quota_clients add column learnt_at timestamptz;
alter table ops.quota_clients add constraint learnt_at_some_time check ((polls_a_day is null) = (learnt_at is null));
comment on column ops.quota_clients.polls_a_day is
'The polls a day that this client id could afford when Spotify last answered a poll with 429; some of the plan comes back each day.';

-- Turns were up to a day away for users who had been silent for weeks.
update ops.poll_states
set due_at = least(due_at, polled_at + interval '15 minutes')
where failures = 0;

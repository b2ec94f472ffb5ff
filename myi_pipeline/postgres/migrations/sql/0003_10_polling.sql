-- Polling: its log and state, and what it cannot vouch for.
create table ops.polls (
    -- The sequence of imports: a batch_id in raw names one import or one poll.
    poll_id int primary key default nextval('raw.batch_id_seq'),
    user_id int not null references app.users on delete cascade,
    polled_at timestamptz not null,
    outcome text not null check (outcome in ('new', 'known', 'gap', 'none')),
    items smallint not null check (items >= 0),
    new_plays smallint not null check (new_plays >= 0),
    known_plays smallint not null check (known_plays >= 0),
    late_plays smallint not null default 0 check (late_plays between 0 and new_plays),
    refused_items smallint not null default 0 check (refused_items >= 0),
    oldest_played_at timestamptz,
    newest_played_at timestamptz,
    newest_known_before timestamptz,
    -- What could not be understood: ops.quarantine keeps the rows of imports, this those of a page.
    refused jsonb,
    correlation_id text,
    constraint items_are_accounted_for check (items = new_plays + known_plays + refused_items)
);
create index polls_user on ops.polls (user_id, polled_at);
create index polls_age on ops.polls (polled_at);
comment on table ops.polls is 'The log of polls; may be pruned at any time, nothing is computed from it.';

create table ops.poll_states (
    user_id int primary key references app.users on delete cascade,
    polled_at timestamptz,
    due_at timestamptz,
    -- Of the last page.
    was_full boolean not null default false,
    oldest_played_at timestamptz,
    -- Of all pages.
    newest_played_at timestamptz,
    new_seen_at timestamptz,
    fill_s real check (fill_s > 0),
    -- Of the last page: the oldest play that surfaced late, and how many items were refused.
    late_from timestamptz,
    refused int not null default 0,
    -- In a row.
    failures int not null default 0 check (failures >= 0)
);
create index poll_states_due on ops.poll_states (due_at);
comment on table ops.poll_states is 'What the next poll of a user is held against, and when it is due; the log is not asked.';
comment on column ops.poll_states.new_seen_at is 'When a poll last brought a play that was new.';
comment on column ops.poll_states.fill_s is 'Seconds in which this user fills a whole window when listening fast.';

create table raw.polled_spans (
    span_id bigint generated always as identity primary key,
    user_id int not null,
    polled_from timestamptz not null,
    polled_to timestamptz,
    check (polled_from <= polled_to)
);
create unique index polled_spans_open on raw.polled_spans (user_id) where polled_to is null;
create index polled_spans_user on raw.polled_spans (user_id);
comment on table raw.polled_spans is
'Spans of time over which a user was polled, from the oldest play that the first poll could see; polled_to is NULL while polling goes on.';

create table raw.poll_gaps (
    gap_id bigint generated always as identity primary key,
    user_id int not null,
    gap_start timestamptz not null,
    gap_end timestamptz,
    reason text not null
    check (reason in ('window_overflow', 'outage', 'login_ended', 'paused', 'late_plays', 'refused_items')),
    noted_at timestamptz not null,
    check (gap_start <= gap_end)
);
create index poll_gaps_user on raw.poll_gaps (user_id);
create unique index poll_gaps_open on raw.poll_gaps (user_id) where gap_end is null;
comment on table raw.poll_gaps is
'Spans inside polled ones in which plays may have been missed; gap_end is NULL while nobody knows how far it will reach.';

create trigger mark_coverage after insert or update or delete on raw.polled_spans
for each row execute function ops.mark_coverage();
create trigger mark_coverage after insert or update or delete on raw.poll_gaps
for each row execute function ops.mark_coverage();

-- Whoever pauses, ends or deletes a login opens the gap or closes the span in the same transaction.
create function ops.follow_login() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    state ops.poll_states;
begin
    select * into state from ops.poll_states where user_id = old.user_id;
    if tg_op = 'DELETE' then
        update raw.poll_gaps set gap_end = greatest(gap_start, state.polled_at)
        where user_id = old.user_id and gap_end is null;
        update raw.polled_spans set polled_to = greatest(polled_from, state.polled_at)
        where user_id = old.user_id and polled_to is null;
        delete from ops.poll_states where user_id = old.user_id;
    elsif (old.status = 'active' and old.paused_at is null)
        and (new.status <> 'active' or new.paused_at is not null)
    then
        insert into raw.poll_gaps (user_id, gap_start, reason, noted_at)
        select
            span.user_id,
            greatest(span.polled_from, state.newest_played_at),
            case when new.status <> 'active' then 'login_ended' else 'paused' end,
            coalesce(case when new.status <> 'active' then new.last_failed_at else new.paused_at end, now())
        from raw.polled_spans as span
        where span.user_id = old.user_id and span.polled_to is null
        on conflict (user_id) where gap_end is null do nothing;
    elsif (old.status <> 'active' or old.paused_at is not null)
        and (new.status = 'active' and new.paused_at is null)
    then
        update ops.poll_states set due_at = null, failures = 0 where user_id = old.user_id;
    end if;
    return null;
end $$;
create trigger follow_login after update of status, paused_at or delete on app.credentials
for each row execute function ops.follow_login();

-- Raw has no foreign key to users: whoever deletes a user deletes what polling says of them here.
create function ops.forget_polling() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from raw.poll_gaps where user_id = old.user_id;
    delete from raw.polled_spans where user_id = old.user_id;
    return null;
end $$;
create trigger forget_polling after delete on app.users
for each row execute function ops.forget_polling();

grant select, insert, update, delete on ops.polls, ops.poll_states to {ingest};
grant select, insert, update, delete on raw.polled_spans, raw.poll_gaps to {ingest};
grant select on raw.polled_spans, raw.poll_gaps to {dbt};
grant select on ops.polls, ops.poll_states to {monitor};

-- Which recording a track is. The rules (catalogue/matching) are worked out at the beginning of a mart run, for what has
-- changed; everything here follows from raw and from app.recording_decisions, and can be worked out again.

-- Tracks are compared only with those that share one of these numbers: digests of names, codes, beginnings and ends.
create table ops.content_blocks (
    block int not null,
    content_id int not null,
    primary key (block, content_id)
);
create index content_blocks_content on ops.content_blocks (content_id);
comment on table ops.content_blocks is 'What tracks have in common that may be one recording; see matching/grouping.py.';

create table ops.content_recordings (
    content_id int primary key,
    recording_id int not null,
    confidence real not null check (confidence > 0 and confidence <= 1),
    reason text not null
);
create index content_recordings_recording on ops.content_recordings (recording_id);
comment on table ops.content_recordings is
'The recording of every track that marts know, by the rules. It has the number of one of its tracks: of those with a URI
the first.';
comment on column ops.content_recordings.confidence is 'How surely it belongs there; 1 for a track that is alone.';
comment on column ops.content_recordings.reason is 'Code of the rule that brought it there; alone if none did.';

-- What one person decided otherwise; nobody else's figures change.
create table ops.user_recordings (
    user_id int not null,
    content_id int not null,
    recording_id int not null,
    primary key (user_id, content_id)
);
create index user_recordings_recording on ops.user_recordings (user_id, recording_id);
comment on table ops.user_recordings is
'Tracks that stand in another recording for a user, by app.recording_decisions, than by the rules.';

create table ops.recording_rules (
    is_single boolean primary key default true check (is_single),
    rules text not null
);
comment on table ops.recording_rules is 'Fingerprint of the rules by which ops.content_recordings was worked out.';

-- Periods of recordings whose tracks are others now. As other touched keys they stay until a run closes.
create table ops.touched_recordings (
    user_id int not null,
    recording_id int not null,
    period_start date not null,
    primary key (user_id, recording_id, period_start)
);
comment on table ops.touched_recordings is
'Years, and 1970-01-01 for all of time, of users'' recordings whose tracks have changed.';

grant select, insert, update, delete on
ops.content_blocks, ops.content_recordings, ops.user_recordings, ops.recording_rules, ops.touched_recordings
to {dbt};

-- What a person says about recordings, in the order in which they said it: a later word wins over an earlier one.
create table app.recording_decisions (
    decision_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    -- same: the two tracks are one song for this user. apart: the track is none of those that the rules put it with, nor of
    -- those that an earlier decision did.
    decision text not null check (decision in ('same', 'apart')),
    content_id int not null references raw.contents on delete cascade,
    other_id int references raw.contents on delete cascade,
    decided_at timestamptz not null default now(),
    check ((decision = 'same') = (other_id is not null)),
    check (other_id <> content_id)
);
create index recording_decisions_user on app.recording_decisions (user_id, decision_id);
create index recording_decisions_content on app.recording_decisions (content_id);
create index recording_decisions_other on app.recording_decisions (other_id);
comment on table app.recording_decisions is
'A person''s own word on which tracks are one song; it wins over the rules in that person''s figures alone.';

alter table app.recording_decisions enable row level security;
create policy of_one_user on app.recording_decisions to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.recording_decisions for select to {dbt}, {ingest} using (true);
grant select, insert (user_id, decision, content_id, other_id), delete on app.recording_decisions to {app};
grant select on app.recording_decisions to {dbt}, {ingest};

create function ops.mark_recording_decision() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    -- The least that makes a run due; the run looks at all decisions.
    insert into ops.changed_users (user_id, scope)
    select u.user_id, 'profile' from app.users as u where u.user_id = coalesce(new.user_id, old.user_id);
    perform pg_notify('myi_wake', 'changes');
    return null;
end $$;
create trigger mark_recording_decision after insert or update or delete on app.recording_decisions
for each row execute function ops.mark_recording_decision();

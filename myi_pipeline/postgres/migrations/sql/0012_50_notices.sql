-- Notices: one row for each condition or event, with its end, and users' preferences about what they are sent and when.
create table ops.notices (
    notice_id bigint generated always as identity primary key,
    -- NULL: it concerns the installation and is for its operator.
    user_id int references app.users on delete cascade,
    kind text not null check (kind ~ '^[a-z]+(\.[a-z_]+)+$' and length(kind) <= 40),
    subject text not null check (length(subject) <= 200),
    -- The degree, such as the days until a login ends; people are notified again of each new stage.
    stage text not null default '' check (length(stage) <= 20),
    detail jsonb not null default '{}',
    -- An event, which has no duration; conditions last until ended_at.
    is_event boolean not null,
    began_at timestamptz not null,
    ended_at timestamptz,
    -- It ended because its subject no longer exists, not because the problem was solved: nobody is notified of the end.
    is_gone boolean not null default false,
    -- The stage and the end for which there are deliveries.
    told_stage text,
    end_told_at timestamptz,
    check (not is_event or ended_at is not null)
);
create unique index notices_open on ops.notices (kind, subject, coalesce(user_id, 0)) where ended_at is null;
create unique index notices_once on ops.notices (kind, subject, coalesce(user_id, 0)) where is_event;
create index notices_user on ops.notices (user_id, began_at);
create index notices_to_tell on ops.notices (notice_id)
where told_stage is distinct from stage or (ended_at is not null and end_told_at is null);
comment on table ops.notices is
'Conditions and events of which people are notified, found by comparing the current state with the open rows.';

grant select, insert, update, delete on ops.notices to {ingest};
grant select on ops.notices to {app};
alter table ops.notices enable row level security;
create policy of_one_user on ops.notices to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int);
-- Notices about the installation are for operators.
create policy of_operators on ops.notices to {app}
using (
    user_id is null
    and exists (
        select from app.users as u
        where u.user_id = nullif(current_setting('app.user_id', true), '')::int and u.is_operator
    )
);
create policy of_every_user on ops.notices to {ingest} using (true) with check (true);

create table app.notice_wishes (
    user_id int primary key references app.users on delete cascade,
    -- Kinds that this user does not want to be sent.
    muted text[] not null default '{}' check (cardinality(muted) <= 50),
    -- Hours of the user's local day in which only urgent notices are sent.
    quiet_from time,
    quiet_until time,
    check ((quiet_from is null) = (quiet_until is null))
);
comment on table app.notice_wishes is 'Which notices a user wants to be sent, and when.';

grant select, insert on app.notice_wishes to {ingest};
grant select, insert, update, delete on app.notice_wishes to {app};
alter table app.notice_wishes enable row level security;
create policy of_one_user on app.notice_wishes to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.notice_wishes to {ingest} using (true) with check (true);

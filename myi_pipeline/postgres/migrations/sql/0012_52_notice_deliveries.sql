-- The journal of deliveries: a row is written before anything is sent, and every attempt has its id.
create table ops.notice_deliveries (
    delivery_id uuid primary key,
    user_id int references app.users on delete cascade,
    target_id uuid references app.notice_targets on delete cascade,
    -- The digest of an address from the settings.
    settings_key text check (length(settings_key) <= 32),
    notice_id bigint references ops.notices on delete cascade,
    -- `began`, with the stage of the notice, or `ended`.
    moment text not null check (length(moment) <= 40),
    kind text not null check (length(kind) <= 40),
    -- The JSON document that is sent, identical in every attempt.
    payload text not null check (length(payload) <= 20000),
    created_at timestamptz not null,
    due_at timestamptz not null,
    attempts int not null default 0 check (attempts >= 0),
    -- Until then, it is being sent by a process.
    leased_until timestamptz,
    tried_at timestamptz,
    delivered_at timestamptz,
    given_up_at timestamptz,
    status smallint,
    error text check (length(error) <= 300),
    check (num_nonnulls(target_id, settings_key) = 1)
);
create unique index notice_deliveries_once
on ops.notice_deliveries (notice_id, moment, coalesce(target_id::text, settings_key)) where notice_id is not null;
create index notice_deliveries_due on ops.notice_deliveries (due_at) where delivered_at is null and given_up_at is null;
create index notice_deliveries_target on ops.notice_deliveries (target_id, created_at);
create index notice_deliveries_user on ops.notice_deliveries (user_id);
create index notice_deliveries_age on ops.notice_deliveries (created_at);
comment on table ops.notice_deliveries is
'What is sent to whom, at least once: if a process dies while sending, the delivery is sent again with the same id.';

grant select, insert, update, delete on ops.notice_deliveries to {ingest};
grant select, insert on ops.notice_deliveries to {app};
grant update (due_at, attempts, delivered_at, given_up_at, leased_until) on ops.notice_deliveries to {app};
alter table ops.notice_deliveries enable row level security;
create policy of_one_user on ops.notice_deliveries to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (
    user_id = nullif(current_setting('app.user_id', true), '')::int
    and exists (
        select from app.notice_targets as target
        where target.target_id = notice_deliveries.target_id and target.user_id = notice_deliveries.user_id
    )
);
create policy of_every_user on ops.notice_deliveries to {ingest} using (true) with check (true);

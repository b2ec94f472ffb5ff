-- Answers to requests that named an Idempotency-Key, committed with what was done for them: the same request gets the
-- same answer for a day, whatever became of the first one on its way.
create table app.kept_answers (
    user_id int not null references app.users on delete cascade,
    idempotency_key text not null check (length(idempotency_key) between 1 and 128),
    -- SHA-256 of method, address and body.
    fingerprint bytea not null check (length(fingerprint) = 32),
    status smallint check (status between 200 and 299),
    location text,
    body text,
    kept_at timestamptz not null,
    primary key (user_id, idempotency_key),
    check ((status is null) = (body is null))
);
create index kept_answers_age on app.kept_answers (kept_at);
comment on table app.kept_answers is
'What requests with an Idempotency-Key were answered, for 24 hours. Refusals are not kept: they did nothing.';

grant select, insert, update on app.kept_answers to {app};
grant select, delete on app.kept_answers to {ingest};
alter table app.kept_answers enable row level security;
create policy of_one_user on app.kept_answers to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.kept_answers to {ingest} using (true) with check (true);

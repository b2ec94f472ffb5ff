-- Sign-ins of apps, which cannot keep a cookie: an app makes an attempt, a person who is signed in with a browser lets it
-- in, and the app fetches an access token, once.
create table app.sign_in_attempts (
    attempt_id text primary key check (attempt_id ~ '^[A-Za-z0-9_-]{22}$'),
    secret_hash bytea not null check (length(secret_hash) = 32),
    -- Shown by the app and by the page, so that nobody lets in an app that is somebody else's.
    code text not null check (code ~ '^[A-Z0-9]{4}-[A-Z0-9]{4}$'),
    app_name text not null check (length(app_name) between 1 and 100),
    scope text not null check (length(scope) between 1 and 40),
    address text check (length(address) <= 100),
    state text not null default 'pending' check (state in ('pending', 'allowed', 'collected', 'failed')),
    reason text check (reason in ('denied', 'not-invited', 'refused')),
    user_id int references app.users on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '10 minutes',
    check ((state in ('allowed', 'collected')) = (user_id is not null)),
    check ((state = 'failed') = (reason is not null))
);
create index sign_in_attempts_expiry on app.sign_in_attempts (expires_at);
create index sign_in_attempts_user on app.sign_in_attempts (user_id);
comment on table app.sign_in_attempts is
'Apps that wait to be let in; who shows the secret of one collects its token. Rows go an hour after they expired.';
comment on column app.sign_in_attempts.address is 'Where the app asked from, for the person who is to let it in.';
comment on column app.sign_in_attempts.reason is
'denied: the person said no; not-invited: nobody here has that Spotify account; refused: Spotify refused the sign-in.';
grant select, insert, update, delete on app.sign_in_attempts to {app};
alter table app.sign_in_attempts enable row level security;
-- Whoever asks is nobody yet; the secret, and the person at the page, say whose an attempt is.
create policy of_every_user on app.sign_in_attempts to {app} using (true) with check (true);

alter table app.sign_ins
add column attempt_id text references app.sign_in_attempts on delete cascade;
comment on column app.sign_ins.attempt_id is 'The app''s attempt that this sign-in is for, which fails with it.';

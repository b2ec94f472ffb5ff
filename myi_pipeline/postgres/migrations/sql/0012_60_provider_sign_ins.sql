-- Sign-ins at TIDAL and YouTube Music that were begun on a page. The returned code is exchanged with the verifier, for
-- the user whose browser began, while it is signed in.
create table app.provider_sign_ins (
    session_id bigint not null references app.sessions on delete cascade,
    provider text not null check (provider in ('tidal', 'youtube_music')),
    user_id int not null references app.users on delete cascade,
    state_hash bytea not null unique check (length(state_hash) = 32),
    -- Sealed like a refresh token.
    verifier bytea not null,
    redirect_uri text not null check (length(redirect_uri) <= 500),
    expires_at timestamptz not null,
    -- A new sign-in of a browser at a service replaces the previous one.
    primary key (session_id, provider)
);
create index provider_sign_ins_user on app.provider_sign_ins (user_id);
comment on table app.provider_sign_ins is
'Sign-ins at playlist services, begun on a page; the row is deleted by the answer, or by signing out.';

grant select, insert, update, delete on app.provider_sign_ins to {app};
alter table app.provider_sign_ins enable row level security;
create policy of_one_user on app.provider_sign_ins to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);

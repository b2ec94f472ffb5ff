-- Both names of a Spotify account: account_id, which never changes, and id, which may. Either is missing at times.
alter table app.credentials
add column account_id text check (account_id <> ''),
add column profile_id text check (profile_id <> ''),
add column names_asked_at timestamptz;
update app.credentials
set
    account_id = case when account_key like 'account:%' then substr(account_key, 9) end,
    profile_id = case when account_key like 'id:%' then substr(account_key, 4) end;
alter table app.credentials
add constraint account_has_a_name check (account_id is not null or profile_id is not null),
add constraint credentials_account_id_key unique (account_id),
add constraint credentials_profile_id_key unique (profile_id);
comment on column app.credentials.account_key is
'The account''s first name, "account:" or "id:" and the name itself; account_id where it is known.';
comment on column app.credentials.account_id is 'Spotify''s account_id, which never changes; NULL until it was told.';
comment on column app.credentials.profile_id is 'Spotify''s id, which may change; NULL until it was told.';
comment on column app.credentials.names_asked_at is 'When Spotify was last asked for the names of this account.';

-- A version of MYI before this one knows only account_key.
create function app.name_account() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if new.account_key like 'account:%' then
        new.account_id := substr(new.account_key, 9);
    else
        new.profile_id := substr(new.account_key, 4);
    end if;
    return new;
end $$;
create trigger name_account before insert or update of account_key on app.credentials
for each row execute function app.name_account();
grant select (account_id, profile_id, names_asked_at) on app.credentials to {app};

-- The confirmation that a sign-in may put another account in place of the one that is connected; and the answer that
-- the site keeps for a command, sealed as a token is.
alter table app.sign_ins
add column switch_to bytea check (length(switch_to) = 32),
add column sealed_answer bytea check (length(sealed_answer) between 34 and 8000);
comment on column app.sign_ins.switch_to is
'Hash of the account that may take the place of the connected one; NULL when nobody was asked.';
comment on column app.sign_ins.answer is 'Written by versions that kept it open; now sealed_answer.';

-- A play that was dated ahead of now had become the newest one.
update ops.poll_states set newest_played_at = polled_at
where newest_played_at > polled_at;

-- Which account the batches of polls came from.
alter table ops.polls add column account_key text;
comment on column ops.polls.account_key is 'The Spotify account that was asked; NULL before this column was there.';
update ops.polls as p
set account_key = c.account_key
from app.credentials as c
where c.user_id = p.user_id and p.polled_at >= c.authorised_at;

create table app.polled_accounts (
    user_id int not null references app.users on delete cascade,
    first_poll_id int not null,
    account_key text not null,
    primary key (user_id, first_poll_id)
);
comment on table app.polled_accounts is
'Which Spotify account a user''s polls come from: the one of the row with the largest first_poll_id up to the poll''s own. The log of polls is pruned, this is not.';
insert into app.polled_accounts (user_id, first_poll_id, account_key)
select
    p.user_id,
    min(p.poll_id) as first_poll_id,
    p.account_key
from ops.polls as p
where p.account_key is not null
group by p.user_id, p.account_key;
grant select, insert, update, delete on app.polled_accounts to {ingest};
grant select, update (account_key) on app.polled_accounts to {app};

-- If two listeners of this installation agree, each sees what the other has chosen to show. A row is an invitation
-- until it is accepted; either of the two ends it by deleting the row.
create table app.agreements (
    agreement_id bigint generated always as identity primary key,
    inviter_id int not null references app.users on delete cascade,
    -- NULL: nobody has opened the link yet.
    invitee_id int references app.users on delete cascade,
    link_hash bytea unique check (length(link_hash) = 32),
    inviter_parts text[] not null check (
        cardinality(inviter_parts) > 0 and inviter_parts <@ array['overview', 'tops', 'common']
    ),
    invitee_parts text[] check (
        cardinality(invitee_parts) > 0 and invitee_parts <@ array['overview', 'tops', 'common']
    ),
    invited_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > invited_at),
    accepted_at timestamptz,
    check (inviter_id <> invitee_id),
    check (invitee_id is not null or link_hash is not null),
    check ((accepted_at is null) = (invitee_parts is null)),
    check (accepted_at is null or invitee_id is not null)
);
create unique index agreements_once on app.agreements (least(inviter_id, invitee_id), greatest(inviter_id, invitee_id))
where invitee_id is not null;
create index agreements_inviter on app.agreements (inviter_id);
create index agreements_invitee on app.agreements (invitee_id);
comment on table app.agreements is 'What two listeners let each other see; an invitation until accepted_at is set.';
comment on column app.agreements.link_hash is 'SHA-256 of the secret of the invitation''s link; NULL: invited by name.';
comment on column app.agreements.inviter_parts is 'What the invitee may see of the inviter, once both agree.';
comment on column app.agreements.invitee_parts is 'What the inviter may see of the invitee; NULL until it is accepted.';
comment on column app.agreements.expires_at is 'When an invitation that has not been accepted expires.';

grant select, insert, delete on app.agreements to {app};
grant update (inviter_parts, invitee_parts, accepted_at) on app.agreements to {app};
grant select, delete on app.agreements to {ingest};
alter table app.agreements enable row level security;
create policy of_either on app.agreements to {app}
using (nullif(current_setting('app.user_id', true), '')::int in (inviter_id, invitee_id))
with check (nullif(current_setting('app.user_id', true), '')::int in (inviter_id, invitee_id));
-- Nobody can invite in another user's name, or accept for the invitee.
create policy begins_as_an_invitation on app.agreements as restrictive for insert to {app}
with check (
    inviter_id = nullif(current_setting('app.user_id', true), '')::int and accepted_at is null and invitee_parts is null
);
create policy of_every_user on app.agreements to {ingest} using (true) with check (true);

-- Users can only decide what is shown of themselves.
create function app.keep_to_own_parts() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    who constant int := nullif(current_setting('app.user_id', true), '')::int;
begin
    if new.inviter_parts is distinct from old.inviter_parts and who is distinct from old.inviter_id then
        raise insufficient_privilege using message = 'only inviters may change what is shown of them';
    end if;
    if
        (new.invitee_parts, new.accepted_at) is distinct from (old.invitee_parts, old.accepted_at)
        and who is distinct from old.invitee_id
    then
        raise insufficient_privilege using message = 'only invitees may accept, and change what is shown of them';
    end if;
    return new;
end $$;
create trigger own_parts before update of inviter_parts, invitee_parts, accepted_at on app.agreements
for each row execute function app.keep_to_own_parts();

-- An invitation by link belongs to the first user who opens it while signed in, other than the inviter.
create function app.claim_invitation(link bytea, at timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    who constant int := nullif(current_setting('app.user_id', true), '')::int;
    found_id bigint;
begin
    update app.agreements as a
    set invitee_id = who
    where
        a.link_hash = link
        and a.invitee_id is null
        and a.inviter_id <> who
        and a.expires_at > at
        and not exists (
            select from app.agreements as other
            where (other.inviter_id, other.invitee_id) in ((a.inviter_id, who), (who, a.inviter_id))
        )
    returning a.agreement_id into found_id;
    return found_id;
end $$;
comment on function app.claim_invitation(bytea, timestamptz) is
'Makes the user of this transaction the invitee of a link''s invitation; returns its id, or NULL if it is not valid.';
revoke all on function app.claim_invitation(bytea, timestamptz) from public;
grant execute on function app.claim_invitation(bytea, timestamptz) to {app};

-- What a service answered when it was asked for a track. Such questions are counted by the day (YouTube: 100, Spotify: the
-- catalogue's share), so that matching a long playlist takes days: it goes on with those that were not asked yet.
create table ops.track_lookups (
    account_id int not null references app.provider_accounts on delete cascade,
    -- A digest of what was asked for.
    track_key uuid not null,
    candidates jsonb not null,
    looked_up_at timestamptz not null,
    primary key (account_id, track_key)
);
create index track_lookups_age on ops.track_lookups (looked_up_at);
comment on table ops.track_lookups is
'Candidates that services offered for tracks; kept for some weeks, and lost without harm: then they are asked again.';
grant select, insert, update, delete on ops.track_lookups to {ingest};

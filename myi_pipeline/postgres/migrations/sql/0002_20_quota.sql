-- Requests per client id and bucket: the sliding window and the rolling 24 hours are sums over this.
create table ops.quota_clients (
    client_id text primary key
);
comment on table ops.quota_clients is 'One row per client id; whoever takes from its quota holds the row meanwhile.';

create table ops.quota_calls (
    client_id text not null,
    called_at timestamptz not null,
    bucket text not null check (bucket in ('polls', 'personal', 'catalogue')),
    calls int not null check (calls > 0),
    primary key (client_id, called_at, bucket)
);
comment on table ops.quota_calls is 'What was asked of Spotify in the last two days, one row a moment.';

create table ops.quota_blocks (
    client_id text not null,
    bucket text not null check (bucket in ('polls', 'personal', 'catalogue')),
    blocked_at timestamptz not null,
    blocked_until timestamptz not null,
    in_a_row int not null check (in_a_row > 0),
    primary key (client_id, bucket)
);
comment on table ops.quota_blocks is 'Buckets that Spotify asked to be silent, until when; gone with the next success.';

grant select, insert, update, delete on ops.quota_clients, ops.quota_calls, ops.quota_blocks to {ingest};
grant select on ops.quota_calls, ops.quota_blocks to {monitor};

-- app: who listens, and what was handed in.
create table app.users (
    user_id int generated always as identity primary key,
    user_key text not null unique check (user_key ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    display_name text check (length(display_name) <= 200),
    -- The function call makes Postgres refuse a zone that it does not know.
    time_zone text not null check (timezone(time_zone, timestamptz 'epoch') is not null),
    created_at timestamptz not null default now()
);
comment on table app.users is 'The listeners of this warehouse.';
comment on column app.users.user_key is 'Short slug: the name of the user''s partition in Dagster and of the uploads folder.';

create sequence raw.batch_id_seq as int;

-- One archive of one user = one row; a repeated import is a further attempt of the same row, so that its events keep one batch_id.
create table app.imports (
    import_id int primary key default nextval('raw.batch_id_seq'),
    user_id int not null references app.users on delete cascade,
    sha256 bytea not null check (length(sha256) = 32),
    archive_name text not null,
    kind text not null check (kind in ('extended_history', 'account_history', 'mixed')),
    status text not null default 'pending'
    check (status in ('pending', 'running', 'completed', 'completed_with_errors', 'failed')),
    attempt int not null default 0 check (attempt >= 0),
    error text,
    warnings text[] not null default '{}',
    account_hash bytea,
    covered_from timestamptz,
    covered_to timestamptz,
    bytes_total bigint not null default 0,
    bytes_read bigint not null default 0,
    rows_read bigint not null default 0,
    rows_loaded bigint not null default 0,
    rows_present bigint not null default 0,
    rows_identical bigint not null default 0,
    rows_quarantined bigint not null default 0,
    unknown_keys jsonb not null default '{}',
    correlation_id text,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    heartbeat_at timestamptz,
    finished_at timestamptz,
    unique (user_id, sha256),
    constraint accounting_closes check (
        status not in ('completed', 'completed_with_errors')
        or rows_read = rows_loaded + rows_present + rows_identical + rows_quarantined
    )
);
comment on table app.imports is 'One row per archive of a user; the counters are those of the latest attempt.';
comment on column app.imports.account_hash is 'Keyed hash of the user name inside the archive; the name itself is never stored.';

create table app.import_files (
    import_id int not null references app.imports on delete cascade,
    attempt int not null,
    file_no int not null,
    file_name text not null,
    kind text not null,
    status text not null check (status in ('running', 'completed', 'failed')),
    error text,
    error_offset bigint,
    rows_read bigint not null default 0,
    rows_loaded bigint not null default 0,
    rows_present bigint not null default 0,
    rows_identical bigint not null default 0,
    rows_quarantined bigint not null default 0,
    covered_from timestamptz,
    covered_to timestamptz,
    primary key (import_id, attempt, file_no),
    constraint accounting_closes check (
        status = 'running'
        or rows_read = rows_loaded + rows_present + rows_identical + rows_quarantined
    )
);
comment on table app.import_files is
'The accounting of every file of every attempt: rows read = loaded + present + identical + quarantined.';

grant select, insert, update, delete on app.imports, app.import_files to {ingest};
grant select on app.users to {ingest}, {dbt};
grant insert, update, delete on app.users to {ingest};
grant select, insert, update, delete on app.users, app.imports to {app};
grant select on app.imports, app.import_files to {dbt};
grant select on app.import_files to {app};
grant usage on sequence raw.batch_id_seq to {ingest}, {app};
grant usage on schema raw to {app};

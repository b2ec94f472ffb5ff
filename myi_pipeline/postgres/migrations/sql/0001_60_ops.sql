-- ops: what keeps the house running. Nothing here is anybody's listening history but the quarantine.
create table ops.quarantine (
    quarantine_id bigint generated always as identity primary key,
    user_id int not null,
    import_id int not null references app.imports on delete cascade,
    file_no int not null,
    file_name text not null,
    row_index bigint not null,
    reason text not null,
    detail text not null,
    row_content jsonb,
    created_at timestamptz not null default now(),
    unique (import_id, file_no, row_index)
);
create index quarantine_user on ops.quarantine (user_id);
comment on table ops.quarantine is 'Rows of archives that cannot be plays: where, why, and the row without its personal fields.';

-- Mart runs. The run_id is the fencing number: only the run named in ops.mart_fence may write marts.
create table ops.mart_runs (
    run_id bigint generated always as identity primary key,
    status text not null default 'running' check (status in ('running', 'completed', 'partial', 'failed', 'abandoned')),
    is_rebuild boolean not null default false,
    fingerprint text not null,
    correlation_id text,
    changed_days int not null default 0,
    changed_contents int not null default 0,
    changed_users int not null default 0,
    error text,
    started_at timestamptz not null default now(),
    finished_at timestamptz
);
create table ops.mart_fence (
    only_row boolean primary key default true check (only_row),
    run_id bigint not null
);
insert into ops.mart_fence (run_id) values (0);
create table ops.mart_state (
    only_row boolean primary key default true check (only_row),
    fingerprint text,
    completed_run_id bigint,
    completed_at timestamptz
);
insert into ops.mart_state default values;

-- What one run froze: the ledger rows that it will close ...
create table ops.mart_run_changes (
    run_id bigint not null,
    ledger text not null check (ledger in ('days', 'contents', 'users')),
    change_id bigint not null,
    primary key (run_id, ledger, change_id)
);
-- ... and the slices that follow from them.
create table ops.mart_run_days (
    run_id bigint not null,
    user_id int not null,
    utc_day date not null,
    primary key (run_id, user_id, utc_day)
);
create table ops.mart_run_contents (
    run_id bigint not null,
    content_id int not null,
    primary key (run_id, content_id)
);
create table ops.mart_run_users (
    run_id bigint not null,
    user_id int not null,
    primary key (run_id, user_id)
);

-- Keys touched in fct_plays, collected from its old rows and its new ones in the transaction that replaces them.
-- They belong to no run: whichever run of all models completes closes them, and a run after a crash inherits them.
create table ops.touched_dates (
    user_id int not null,
    local_date date not null,
    primary key (user_id, local_date)
);
create table ops.touched_entities (
    user_id int not null,
    entity_kind smallint not null,
    entity_id int not null,
    local_date date not null,
    primary key (user_id, entity_kind, entity_id, local_date)
);
comment on table ops.touched_entities is 'entity_kind: 1 track, 2 artist, 3 album.';

grant select, insert, update, delete on
ops.mart_runs, ops.mart_state, ops.mart_run_changes, ops.mart_run_days, ops.mart_run_contents, ops.mart_run_users,
ops.touched_dates, ops.touched_entities to {dbt};
grant select, update on ops.mart_fence to {dbt};
grant select, insert, update, delete on ops.quarantine to {ingest};
grant select on ops.quarantine to {dbt}, {app};
grant select on ops.mart_runs, ops.mart_state to {ingest}, {monitor};

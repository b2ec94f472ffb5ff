-- Backups made by this installation, including failed ones, for doctor, metrics and notices. Restoring does not need
-- this table, which may be lost with the database: each backup describes itself.
create table ops.backups (
    backup_id bigint generated always as identity primary key,
    -- A folder, or a bucket without credentials.
    place text not null,
    name text not null,
    is_scheduled boolean not null,
    state text not null default 'running' check (state in ('running', 'completed', 'failed', 'deleted')),
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    bytes bigint,
    has_secrets boolean,
    -- What went wrong, for people.
    error text,
    verified_at timestamptz,
    verify_error text,
    check ((state = 'running') = (finished_at is null))
);
create unique index backups_name on ops.backups (place, name);
create index backups_age on ops.backups (started_at);
comment on table ops.backups is
'Every backup begun: running, completed, failed, or deleted by retention; verify_error: of the last verification.';

grant select, insert, update, delete on ops.backups to {ingest};

create view ops.backup_figures as
select
    'backup_age_seconds' as name,
    '' as label,
    extract(epoch from now() - max(finished_at))::double precision as value
from ops.backups
where state = 'completed'
union all
-- Of the last backup that has ended, so that a failure is shown until a backup succeeds.
select
    'backup_failed',
    '',
    coalesce(
        (select (state = 'failed')::int from ops.backups where state in ('completed', 'failed') order by started_at desc limit 1),
        0
    )
union all
select
    'backup_bytes',
    '',
    (select bytes from ops.backups where state = 'completed' order by started_at desc limit 1);
comment on view ops.backup_figures is 'Figures for metrics, as in ops.figures: the last backup.';
grant select on ops.backup_figures to {monitor};

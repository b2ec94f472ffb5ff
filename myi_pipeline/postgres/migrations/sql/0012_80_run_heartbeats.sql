-- Which process executes a Dagster run: the one that inserts the row first, on any host. While it works, it updates the
-- row every few seconds. A run whose process has been silent for too long is given up. This is final: if the process is
-- still alive, it sees this in the row and ends itself.
create table ops.run_heartbeats (
    run_id text primary key,
    -- "id:start" of a process on that host; empty if the run was given up before any process began it.
    host text not null,
    process text not null,
    begun_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    -- When its silence was first noticed. It is only given up if the silence lasts, because every process seems silent
    -- after the machine was asleep or the database was unavailable.
    doubted_at timestamptz,
    given_up_at timestamptz
);
-- No index on seen_at: its frequent updates would have to update every index.
comment on table ops.run_heartbeats is
'The process of each Dagster run, when it last reported, and whether the run was given up.';
grant select, insert, update, delete on ops.run_heartbeats to {ingest};

-- Celery workers, as reported by themselves; an installation on one machine has none.
create table ops.celery_workers (
    worker text primary key,
    host text not null,
    queues text[] not null,
    slots int not null check (slots > 0),
    begun_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);
comment on table ops.celery_workers is 'Celery workers that execute Dagster runs: their queues, and when each last reported.';
grant select, insert, update, delete on ops.celery_workers to {ingest};

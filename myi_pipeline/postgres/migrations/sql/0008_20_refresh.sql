-- What a refresh need not do, and what it took.

-- Descriptions and tests are no part of `fingerprint`: other ones need no rebuild, but a run of every model.
alter table ops.mart_state add described text;
comment on column ops.mart_state.described is 'Fingerprint of all files of the dbt project when every model was last built.';

-- How long each model took in each run, and how many rows its last statement wrote.
create table ops.mart_run_models (
    run_id bigint not null references ops.mart_runs on delete cascade,
    model text not null,
    seconds real not null,
    row_count bigint,
    status text not null,
    finished_at timestamptz not null default now(),
    primary key (run_id, model)
);
create index mart_run_models_finished on ops.mart_run_models (model, finished_at);
comment on table ops.mart_run_models is 'Seconds and rows of each model of each mart run, for some weeks.';
grant select, insert, update, delete on ops.mart_run_models to {dbt};
grant select on ops.mart_run_models to {ingest}, {app};

-- At most one series for each model of the project.
create view ops.mart_figures as
with last_run as (
    select runs.run_id, extract(epoch from runs.finished_at - runs.started_at) as seconds
    from ops.mart_state as state
    inner join ops.mart_runs as runs on runs.run_id = state.completed_run_id
)

select 'last_mart_run_seconds' as name, '' as label, seconds::double precision as value
from last_run
union all
select 'last_mart_run_models', '', count(took.model)
from last_run
left join ops.mart_run_models as took on took.run_id = last_run.run_id
group by last_run.run_id
union all
(
    select distinct on (model) 'mart_model_seconds', model, seconds
    from ops.mart_run_models
    where finished_at > now() - interval '8 days'
    order by model, finished_at desc
    limit 100
);
comment on view ops.mart_figures is 'The same of mart runs: how long the last one and its models took.';
grant select on ops.mart_figures to {monitor};

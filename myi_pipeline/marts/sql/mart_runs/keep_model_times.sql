insert into ops.mart_run_models (run_id, model, seconds, row_count, status)
select %(run_id)s, model, seconds, row_count, status
from unnest(%(models)s::text[], %(seconds)s::real[], %(rows)s::bigint[], %(statuses)s::text[])
    as ran (model, seconds, row_count, status)
on conflict (run_id, model) do update
set seconds = excluded.seconds, row_count = excluded.row_count, status = excluded.status, finished_at = now()

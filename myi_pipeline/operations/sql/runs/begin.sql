insert into ops.run_heartbeats (run_id, host, process)
values (%(run_id)s, %(host)s, %(process)s)
on conflict (run_id) do nothing

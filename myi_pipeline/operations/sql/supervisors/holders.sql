select
    activity.pid,
    activity.application_name,
    host(activity.client_addr),
    activity.backend_start
from pg_locks as held
inner join pg_stat_activity as activity using (pid)
where
    held.locktype = 'advisory'
    and held.granted
    and held.objsubid = 1
    and held.database = (select oid from pg_database where datname = current_database())
    and (held.classid::bigint << 32) | held.objid::bigint = %(lock)s

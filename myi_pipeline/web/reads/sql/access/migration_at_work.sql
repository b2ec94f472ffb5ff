-- Whether `myi up` runs (ops.import_queue_of), and whether a job is at this migration (playlists/migration/store.py).
select
    exists (
        select from pg_locks as held
        where
            held.locktype = 'advisory'
            and held.granted
            and held.database = (select oid from pg_database where datname = current_database())
            and held.classid = 109
            and held.objid = 2036932725
            and held.objsubid = 1
    ) as is_served,
    exists (
        select from pg_locks as held
        where
            held.locktype = 'advisory'
            and held.granted
            and held.database = (select oid from pg_database where datname = current_database())
            and held.classid = 1836674409
            and held.objid::bigint = %(migration_id)s
            and held.objsubid = 2
    ) as is_at_work

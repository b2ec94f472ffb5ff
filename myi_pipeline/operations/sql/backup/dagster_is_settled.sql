select
    not exists (select from runs as r where r.status not in ('SUCCESS', 'FAILURE', 'CANCELED'))
    and not exists (
        select from dynamic_partitions as p
        where p.partitions_def_name = 'users' and p.partition <> all (%(user_keys)s)
    )
    and (select count(*) from dynamic_partitions as p where p.partitions_def_name = 'users') = %(users)s

-- A sample of about %(events)s events by whole pages: everything while the warehouse is small.
with partitions as (
    select
        child.relname,
        greatest(child.reltuples, 0) as events,
        pg_get_expr(child.relpartbound, child.oid) as bounds,
        to_date(right(child.relname, 7), 'YYYY"m"MM') as first_day
    from pg_inherits as link
    inner join pg_class as child on child.oid = link.inhrelid
    where link.inhparent = 'raw.listening_events'::regclass
),

sampled as (
    select
        event.played_at,
        to_date(right(owner.relname, 7), 'YYYY"m"MM')::timestamp at time zone 'UTC' as month_start
    from raw.listening_events as event tablesample system (
        (select least(100, 100 * %(events)s::float8 / greatest(sum(partitions.events), 1)) from partitions)
    )
    inner join pg_class as owner on owner.oid = event.tableoid
)

select
    (select count(*) from partitions),
    (
        select count(*) from partitions
        where partitions.bounds
        is distinct from format(
            'FOR VALUES FROM (''%%s 00:00:00+00'') TO (''%%s 00:00:00+00'')',
            partitions.first_day,
            (partitions.first_day + interval '1 month')::date
        )
    ),
    count(*),
    count(*) filter (
        where sampled.played_at < sampled.month_start
        or sampled.played_at >= (sampled.month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC'
    )
from sampled

-- How many users have about %(events)s events together.
select greatest(1, ceil(%(events)s::float8 * (select count(*) from app.users) / estimate.events))::bigint
from (
    select greatest(sum(child.reltuples), 1) as events
    from pg_inherits as link
    inner join pg_class as child on child.oid = link.inhrelid
    where link.inhparent = 'raw.listening_events'::regclass
) as estimate

select
    reason,
    count(*)::bigint as rows,
    min(detail) as example
from ops.quarantine
where import_id = %(import_id)s
group by reason
order by rows desc, reason;

-- What an import waits for, and whether what it brought is still to be counted: one row.
select
    own_before,
    is_busy,
    is_served,
    is_counting
from ops.import_queue_of(%(user_id)s, %(import_id)s)

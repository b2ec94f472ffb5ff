select min(greatest(due_at, coalesce(leased_until, due_at)))
from ops.notice_deliveries
where delivered_at is null and given_up_at is null

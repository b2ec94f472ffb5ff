select
    delivery_id,
    target_id,
    settings_key,
    user_id,
    kind,
    moment,
    payload,
    created_at,
    due_at,
    attempts,
    tried_at,
    delivered_at,
    given_up_at,
    status,
    error
from ops.notice_deliveries
where
    (%(user_id)s::int is null or user_id = %(user_id)s)
    and (%(target_id)s::uuid is null or target_id = %(target_id)s)
    and (%(wanted)s::uuid[] is null or delivery_id = any(%(wanted)s))
order by created_at desc, delivery_id
limit %(limit)s

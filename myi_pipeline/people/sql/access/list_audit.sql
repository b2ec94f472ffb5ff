select
    audit_id,
    at,
    event,
    user_key,
    address,
    detail
from app.audit
where
    (%(user_id)s::int is null or user_id = %(user_id)s)
    and (%(before)s::bigint is null or audit_id < %(before)s)
order by audit_id desc
limit %(limit)s

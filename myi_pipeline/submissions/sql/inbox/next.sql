-- The oldest request that is due.
select submission_id, user_id, listens
from ops.listen_inbox
where next_try_at <= now() and submission_id > %(after_id)s
order by submission_id
limit 1

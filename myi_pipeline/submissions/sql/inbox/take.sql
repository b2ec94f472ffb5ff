-- Locks the request until the transaction ends; no row if another process has taken or loaded it.
select submission_id
from ops.listen_inbox
where submission_id = %(submission_id)s
for update skip locked

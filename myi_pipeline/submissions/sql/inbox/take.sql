-- Locked until its transaction ends; none when another process has it, or has loaded it.
select submission_id
from ops.listen_inbox
where submission_id = %(submission_id)s
for update skip locked

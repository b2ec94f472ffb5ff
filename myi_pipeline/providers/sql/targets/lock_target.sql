select
    user_id,
    address,
    secret,
    former_secret
from app.notice_targets
where target_id = %(target_id)s
for update

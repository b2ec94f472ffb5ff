select
    user_id,
    address,
    secret,
    former_secret,
    former_until
from app.notice_targets
where target_id = %(target_id)s

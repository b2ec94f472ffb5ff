select target_id
from app.notice_targets
where
    substring(address from 2 for 4) <> %(key_id)s
    or substring(secret from 2 for 4) <> %(key_id)s
    or substring(former_secret from 2 for 4) <> %(key_id)s
order by created_at, target_id

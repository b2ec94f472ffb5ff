select provider_account_id
from app.credentials
where (key_id <> %(key_id)s or access_key_id <> %(key_id)s) and provider_account_id > %(after)s
order by provider_account_id
limit %(limit)s

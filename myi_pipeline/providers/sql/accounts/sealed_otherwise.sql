select account_id
from app.account_credentials
where (key_id <> %(key_id)s or access_key_id <> %(key_id)s) and account_id > %(after)s
order by account_id
limit %(limit)s

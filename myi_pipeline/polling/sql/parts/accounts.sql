select p.first_poll_id as batch, p.account_key as account
from app.polled_accounts as p
where p.user_id = %(user_id)s
order by p.first_poll_id

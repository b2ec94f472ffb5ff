select distinct user_id
from app.linked_services
where key_id <> %(key_id)s and user_id > %(after)s
order by user_id
limit %(limit)s

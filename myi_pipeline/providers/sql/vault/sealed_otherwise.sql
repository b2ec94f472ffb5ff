select c.user_id
from app.credentials as c
left join app.spotify_tokens as t on t.user_id = c.user_id
where (c.key_id <> %(key_id)s or t.key_id <> %(key_id)s) and c.user_id > %(after)s
order by c.user_id
limit %(limit)s

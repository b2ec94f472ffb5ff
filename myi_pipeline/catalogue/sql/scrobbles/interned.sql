select
    c.content_key,
    c.content_id
from raw.contents as c
inner join pg_temp.scrobbled_contents as s on s.content_key = c.content_key

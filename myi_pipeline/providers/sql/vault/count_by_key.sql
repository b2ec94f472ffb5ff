-- The role `app` may run this: it reads no access token.
select
    key_id,
    count(*)
from app.credentials
group by key_id
order by key_id

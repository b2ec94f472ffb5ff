-- The role `app` may ask this, and has no right to the access tokens.
select
    key_id,
    count(distinct user_id)
from app.credentials
group by key_id
order by key_id

select
    sealed.key_id,
    count(distinct c.provider_account_id)
from app.credentials as c
cross join lateral (values (c.key_id), (c.access_key_id)) as sealed (key_id)
where sealed.key_id is not null
group by sealed.key_id
order by sealed.key_id

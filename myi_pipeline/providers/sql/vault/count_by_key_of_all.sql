select
    key_id,
    count(distinct user_id)
from (
    select
        user_id,
        key_id
    from app.credentials
    union all
    select
        user_id,
        key_id
    from app.spotify_tokens
) as sealed
group by key_id
order by key_id

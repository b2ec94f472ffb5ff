delete from app.user_time_zones as later
using (
    select valid_from, time_zone = lag(time_zone) over (order by valid_from) as is_the_same
    from app.user_time_zones
    where user_id = %(user_id)s
) as zones
where later.user_id = %(user_id)s and later.valid_from = zones.valid_from and zones.is_the_same

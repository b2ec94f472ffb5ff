-- The user's zone, and the one chosen for this archive or used to read it, if it is known here.
select
    u.time_zone,
    i.time_zone as chosen
from app.users as u
left join app.imports as i on i.user_id = u.user_id and i.sha256 = %(sha256)s
where u.user_id = %(user_id)s

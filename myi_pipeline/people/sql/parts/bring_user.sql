-- A zone or name that was already chosen here is kept.
create temporary table told_user on commit drop as
select r.*
from told_settings_user as t
cross join lateral jsonb_to_record(t.told)
    as r (user_key text, display_name text, time_zone text, time_zone_chosen_at timestamptz)
inner join app.users as u on u.user_id = %(user_id)s
where u.time_zone_chosen_at is null;

create temporary table told_zone on commit drop as
select r.*
from told_settings_time_zones as t
cross join lateral jsonb_to_record(t.told) as r (valid_from timestamptz, time_zone text)
where
    exists (select from told_user)
    and not exists (
        select from app.user_time_zones as z where z.user_id = %(user_id)s and z.valid_from > '-infinity'
    );

update app.user_time_zones as z
set time_zone = t.time_zone
from told_zone as t
where z.user_id = %(user_id)s and z.valid_from = t.valid_from and z.time_zone <> t.time_zone;

insert into app.user_time_zones (user_id, valid_from, time_zone)
select %(user_id)s, t.valid_from, t.time_zone
from told_zone as t
order by t.valid_from
on conflict do nothing;

update app.users as u
set
    display_name = coalesce(u.display_name, t.display_name),
    time_zone_chosen_at = t.time_zone_chosen_at
from told_user as t
where
    u.user_id = %(user_id)s
    and (
        (u.display_name is null and t.display_name is not null)
        or u.time_zone_chosen_at is distinct from t.time_zone_chosen_at
    );

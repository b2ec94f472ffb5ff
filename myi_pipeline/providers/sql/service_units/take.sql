-- One statement, so that two processes never take the same last unit. If no row is returned, none are left for the day.
insert into ops.service_units as u (client_id, day, kind, used)
select %(client_id)s, %(day)s, %(kind)s, %(cost)s
where %(cost)s <= %(most)s::int
on conflict (client_id, day, kind) do update set used = u.used + excluded.used
where u.used + excluded.used <= %(most)s::int
returning used

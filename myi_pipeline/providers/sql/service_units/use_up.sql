-- The service says that nothing is left, whatever was counted here.
insert into ops.service_units as u (client_id, day, kind, used)
values (%(client_id)s, %(day)s, %(kind)s, %(most)s)
on conflict (client_id, day, kind) do update set used = greatest(u.used, excluded.used)

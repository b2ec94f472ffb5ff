-- Inserts nothing if the user already has an export in progress.
insert into app.exports (user_id, with_marts)
values (%(user_id)s, %(with_marts)s)
on conflict (user_id) where state in ('ordered', 'running') do nothing

-- Waits for every transaction of an older run that is still writing marts: each locks this row until it commits.
update ops.mart_fence set run_id = %(run_id)s;

update ops.mart_runs
set status = 'abandoned', finished_at = now()
where status = 'running' and run_id <> %(run_id)s;

-- Slices of runs that did not close are inherited: the rows that led to them may already be gone from the marts.
insert into ops.mart_run_days (run_id, user_id, utc_day)
select distinct %(run_id)s::bigint, user_id, utc_day
from ops.mart_run_days;

insert into ops.mart_run_contents (run_id, content_id)
select distinct %(run_id)s::bigint, content_id
from ops.mart_run_contents;

insert into ops.mart_run_users (run_id, user_id)
select distinct %(run_id)s::bigint, user_id
from ops.mart_run_users;

insert into ops.mart_run_api_days (run_id, user_id, utc_day)
select distinct %(run_id)s::bigint, user_id, utc_day
from ops.mart_run_api_days;

insert into ops.mart_run_facts (run_id, content_id)
select distinct %(run_id)s::bigint, content_id
from ops.mart_run_facts;

insert into ops.mart_run_playlists (run_id, playlist_id, user_id)
select distinct %(run_id)s::bigint, playlist_id, user_id
from ops.mart_run_playlists;

delete from ops.mart_run_playlists where run_id <> %(run_id)s;

delete from ops.mart_run_facts where run_id <> %(run_id)s;

delete from ops.mart_run_days where run_id <> %(run_id)s;

delete from ops.mart_run_api_days where run_id <> %(run_id)s;

delete from ops.mart_run_contents where run_id <> %(run_id)s;

delete from ops.mart_run_users where run_id <> %(run_id)s;

delete from ops.mart_run_changes where run_id <> %(run_id)s;

-- The ledger rows of this run: exactly those that are visible now, by id. A transaction that began before and commits
-- later keeps its rows for the next run. In the order of the key, which fills the pages of its index.
insert into ops.mart_run_changes (run_id, ledger, change_id)
select %(run_id)s::bigint, 'contents', change_id from ops.changed_contents
union all
select %(run_id)s::bigint, 'days', change_id from ops.changed_days
union all
select %(run_id)s::bigint, 'facts', change_id from ops.changed_facts
union all
select %(run_id)s::bigint, 'playlists', change_id from ops.changed_playlists
union all
select %(run_id)s::bigint, 'users', change_id from ops.changed_users;

insert into ops.mart_run_days (run_id, user_id, utc_day)
select distinct f.run_id, c.user_id, c.utc_day
from ops.mart_run_changes as f
inner join ops.changed_days as c on c.change_id = f.change_id
where f.run_id = %(run_id)s and f.ledger = 'days'
on conflict do nothing;

insert into ops.mart_run_contents (run_id, content_id)
select distinct f.run_id, c.content_id
from ops.mart_run_changes as f
inner join ops.changed_contents as c on c.change_id = f.change_id
where f.run_id = %(run_id)s and f.ledger = 'contents'
on conflict do nothing;

-- Plays are stored under the canonical content.
insert into ops.mart_run_contents (run_id, content_id)
select distinct r.run_id, a.canonical_id
from ops.mart_run_contents as r
inner join raw.content_aliases as a on a.content_id = r.content_id
on conflict do nothing;

insert into ops.mart_run_facts (run_id, content_id)
select distinct f.run_id, c.content_id
from ops.mart_run_changes as f
inner join ops.changed_facts as c on c.change_id = f.change_id
where f.run_id = %(run_id)s and f.ledger = 'facts'
on conflict do nothing;

insert into ops.mart_run_playlists (run_id, playlist_id, user_id)
select distinct f.run_id, c.playlist_id, c.user_id
from ops.mart_run_changes as f
inner join ops.changed_playlists as c on c.change_id = f.change_id
where f.run_id = %(run_id)s and f.ledger = 'playlists'
on conflict do nothing;

-- Playlists that contain a content of the run, which may have another canonical content now.
insert into ops.mart_run_playlists (run_id, playlist_id, user_id)
select distinct r.run_id, p.playlist_id, p.user_id
from ops.mart_run_contents as r
inner join raw.playlist_items as i on i.content_id = r.content_id
inner join raw.playlists as p on p.playlist_id = i.playlist_id
where r.run_id = %(run_id)s
on conflict do nothing;

insert into ops.mart_run_users (run_id, user_id)
select distinct f.run_id, c.user_id
from ops.mart_run_changes as f
inner join ops.changed_users as c on c.change_id = f.change_id
where f.run_id = %(run_id)s and f.ledger = 'users'
on conflict do nothing;

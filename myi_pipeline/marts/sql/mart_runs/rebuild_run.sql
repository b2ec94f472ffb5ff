-- Until a rebuild closes, the marts come from a mix of old and new code: any run that follows must rebuild, too.
update ops.mart_state set fingerprint = null;

update ops.mart_runs set is_rebuild = true where run_id = %(run_id)s;

insert into ops.mart_run_users (run_id, user_id)
select %(run_id)s::bigint, user_id from app.users
union
select %(run_id)s::bigint, user_id from ops.mart_run_days where run_id = %(run_id)s
on conflict do nothing;

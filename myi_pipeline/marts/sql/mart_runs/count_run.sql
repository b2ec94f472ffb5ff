update ops.mart_runs
set
    changed_days = (select count(*) from ops.mart_run_days where run_id = %(run_id)s),
    changed_contents = (select count(*) from ops.mart_run_contents where run_id = %(run_id)s),
    changed_users = (select count(*) from ops.mart_run_users where run_id = %(run_id)s)
where run_id = %(run_id)s
returning changed_days, changed_contents, changed_users

select ops.check_fence(%(run_id)s);

delete from ops.changed_days as c
using ops.mart_run_changes as f
where f.run_id = %(run_id)s and f.ledger = 'days' and c.change_id = f.change_id;

delete from ops.changed_contents as c
using ops.mart_run_changes as f
where f.run_id = %(run_id)s and f.ledger = 'contents' and c.change_id = f.change_id;

delete from ops.changed_users as c
using ops.mart_run_changes as f
where f.run_id = %(run_id)s and f.ledger = 'users' and c.change_id = f.change_id;

delete from ops.changed_facts as c
using ops.mart_run_changes as f
where f.run_id = %(run_id)s and f.ledger = 'facts' and c.change_id = f.change_id;

delete from ops.changed_playlists as c
using ops.mart_run_changes as f
where f.run_id = %(run_id)s and f.ledger = 'playlists' and c.change_id = f.change_id;

delete from ops.touched_dates;

delete from ops.touched_entities;

delete from ops.touched_recordings;

delete from ops.mart_run_changes where run_id = %(run_id)s;

delete from ops.mart_run_days where run_id = %(run_id)s;

delete from ops.mart_run_api_days where run_id = %(run_id)s;

delete from ops.mart_run_contents where run_id = %(run_id)s;

delete from ops.mart_run_users where run_id = %(run_id)s;

delete from ops.mart_run_facts where run_id = %(run_id)s;

delete from ops.mart_run_playlists where run_id = %(run_id)s;

update ops.mart_state
set
    fingerprint = %(fingerprint)s,
    described = coalesce(%(described)s, described),
    completed_run_id = %(run_id)s,
    completed_at = now();

update ops.mart_runs set status = 'completed', finished_at = now() where run_id = %(run_id)s;

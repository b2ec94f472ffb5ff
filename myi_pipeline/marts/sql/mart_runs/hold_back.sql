-- Users whose time zone this server does not know stay as they are: what the run would have recomputed for them goes
-- back to the ledger, and what it froze of theirs stays open.
insert into ops.changed_days (user_id, utc_day)
select days.user_id, days.utc_day
from ops.mart_run_days as days
where
    days.run_id = %(run_id)s
    and days.user_id in (select user_id from ops.held_back_users)
    and not exists (
        select from ops.changed_days as known
        where known.user_id = days.user_id and known.utc_day = days.utc_day
    );

-- A rebuild drops their rows, and so does a run that inherits their keys from a crashed one: all of their days go back to
-- the ledger.
insert into ops.changed_users (user_id, scope)
select held.user_id, 'everything'
from ops.held_back_users as held
where
    (
        (select runs.is_rebuild from ops.mart_runs as runs where runs.run_id = %(run_id)s)
        or exists (select from ops.touched_dates as touched where touched.user_id = held.user_id)
    )
    and not exists (
        select from ops.changed_users as known
        where known.user_id = held.user_id and known.scope = 'everything'
    );

delete from ops.mart_run_days
where run_id = %(run_id)s and user_id in (select user_id from ops.held_back_users);

delete from ops.mart_run_api_days
where run_id = %(run_id)s and user_id in (select user_id from ops.held_back_users);

delete from ops.mart_run_users
where run_id = %(run_id)s and user_id in (select user_id from ops.held_back_users);

delete from ops.mart_run_changes as frozen
using ops.changed_days as changed
where
    frozen.run_id = %(run_id)s
    and frozen.ledger = 'days'
    and changed.change_id = frozen.change_id
    and changed.user_id in (select user_id from ops.held_back_users);

delete from ops.mart_run_changes as frozen
using ops.changed_users as changed
where
    frozen.run_id = %(run_id)s
    and frozen.ledger = 'users'
    and changed.change_id = frozen.change_id
    and changed.user_id in (select user_id from ops.held_back_users);

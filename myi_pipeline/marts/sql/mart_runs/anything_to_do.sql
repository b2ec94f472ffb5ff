-- Whether a mart run would do anything: open ledger rows, keys or slices left by a run that did not close, changed
-- code, a missing relation. Changes held back by a time zone that this server does not know do not count.
select
    exists (select from ops.changed_days where user_id not in (select user_id from ops.held_back_users))
    or exists (select from ops.changed_contents)
    or exists (select from ops.changed_facts)
    or exists (select from ops.changed_playlists)
    or exists (select from ops.changed_users where user_id not in (select user_id from ops.held_back_users))
    or exists (select from ops.touched_dates)
    or exists (select from ops.touched_entities)
    or exists (select from ops.touched_recordings)
    or exists (select from ops.mart_run_days)
    or exists (select from ops.mart_run_contents)
    or exists (select from ops.mart_run_users)
    or exists (select from ops.mart_run_facts)
    or exists (select from ops.mart_run_playlists)
    or exists (select from ops.mart_state where fingerprint is distinct from %(fingerprint)s)
    or exists (select from unnest(%(relations)s::text[]) as r (name) where to_regclass(r.name) is null)

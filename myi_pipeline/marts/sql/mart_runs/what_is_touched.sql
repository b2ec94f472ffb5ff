-- What a run has frozen, and what an earlier one has left: see needed_models. The last column says whether descriptions
-- or tests have changed since the last run that closed.
select
    exists (select from ops.mart_run_days where run_id = %(run_id)s),
    exists (select from ops.mart_run_api_days where run_id = %(run_id)s),
    exists (select from ops.mart_run_contents where run_id = %(run_id)s),
    exists (select from ops.mart_run_users where run_id = %(run_id)s),
    exists (select from ops.touched_dates) or exists (select from ops.touched_entities),
    exists (select from ops.touched_recordings),
    exists (select from ops.mart_run_facts where run_id = %(run_id)s),
    exists (select from raw.musicbrainz_votes),
    exists (select from ops.mart_run_playlists where run_id = %(run_id)s),
    (select described is distinct from %(described)s from ops.mart_state)

-- The state of the ledger as one text, its oldest open change, and whether an import is still adding to it.
select
    concat_ws(
        '-',
        (select max(change_id) from ops.changed_days),
        (select max(change_id) from ops.changed_contents),
        (select max(change_id) from ops.changed_users),
        (select max(change_id) from ops.changed_facts),
        (select max(change_id) from ops.changed_playlists),
        (select completed_run_id from ops.mart_state)
    ),
    least(
        (select changed_at from ops.changed_days order by change_id limit 1),
        (select changed_at from ops.changed_contents order by change_id limit 1),
        (select changed_at from ops.changed_users order by change_id limit 1),
        (select changed_at from ops.changed_facts order by change_id limit 1),
        (select changed_at from ops.changed_playlists order by change_id limit 1)
    ),
    exists (
        select from app.imports
        where status = 'running' and heartbeat_at > now() - interval '2 minutes'
    )

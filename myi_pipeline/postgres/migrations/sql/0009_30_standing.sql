-- A person's zone is the installation's until they say otherwise: whoever never did is offered the browser's.
alter table app.users add column time_zone_chosen_at timestamptz;
comment on column app.users.time_zone_chosen_at is
'When the time zone was last set for this user; NULL: it is still the one that the user began with.';
grant update (time_zone_chosen_at) on app.users to {app};

-- Why an archive waits, for the page that follows it; it says of other people's imports only that there is work.
create function ops.import_queue_of(asked_user int, asked_import int)
returns table (own_before text, is_busy boolean, is_served boolean, is_counting boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select
        (
            select before.archive_name
            from app.imports as before
            where
                before.user_id = asked_user
                and (
                    before.status = 'running'
                    or (
                        before.status = 'pending'
                        and before.import_id < asked_import
                        and coalesce(before.confirmation, '') <> 'needed'
                    )
                )
                and before.import_id <> asked_import
            order by before.status = 'running' desc, before.import_id
            limit 1
        ),
        exists (
            select from app.imports as other
            where other.status = 'running' and other.heartbeat_at > now() - interval '5 minutes'
        ),
        -- `myi up` holds this lock for as long as it runs (operations/sole_supervisor.py).
        exists (
            select from pg_locks as held
            where
                held.locktype = 'advisory'
                and held.granted
                and held.database = (select oid from pg_database where datname = current_database())
                and held.classid = 109
                and held.objid = 2036932725
                and held.objsubid = 1
        ),
        -- What changed later came by a poll, or by another import. After an hour something else is the matter.
        exists (
            select from ops.changed_days as open
            inner join app.imports as done on done.import_id = asked_import
            where
                open.user_id = asked_user
                and open.changed_at <= done.finished_at
                and done.finished_at > now() - interval '1 hour'
        )
$$;
comment on function ops.import_queue_of(int, int) is
'An archive of the user that comes before this one, whether any is being imported, whether `myi up` runs, and whether what this
one brought is still to be counted; one row.';
revoke all on function ops.import_queue_of(int, int) from public;
grant execute on function ops.import_queue_of(int, int) to {app};

-- Runs under way that began before a moment, in seconds since 1970; one whose process is only starting may have.
select exists (
    select from runs as r
    where
        r.status in ('STARTING', 'STARTED', 'CANCELING')
        and (r.start_time is null or r.start_time < %(moment)s)
        and r.run_id is distinct from %(own_run)s
)

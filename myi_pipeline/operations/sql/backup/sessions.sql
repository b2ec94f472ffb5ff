select string_agg(distinct coalesce(nullif(a.application_name, ''), a.usename), ', ')
from pg_stat_activity as a
where
    a.datname = any (%(databases)s)
    and a.pid <> pg_backend_pid()
    and a.usename is not null
    -- Of others' sessions a role without rights sees neither what they are nor what they are called.
    and coalesce(a.backend_type, 'client backend') = 'client backend'

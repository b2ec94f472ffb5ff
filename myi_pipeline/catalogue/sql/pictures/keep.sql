-- All or nothing, and only for the holder of the lease: a worker whose lease has expired and passed to another changes
-- nothing.
with mine as (
    update ops.picture_fetches
    set state = 'kept', failures = 0, last_error = null, lease_id = null, leased_until = null
    where url = %(url)s and lease_id = %(lease_id)s
    returning url
),

file as (
    insert into raw.picture_files (digest, media_type, content, fetched_at)
    select
        %(digest)s,
        %(media_type)s,
        %(content)s,
        %(now)s
    from mine
    on conflict (digest) do nothing
)

insert into raw.kept_pictures (url, digest)
select
    mine.url,
    %(digest)s
from mine

-- Inserts nothing once the user has cancelled the migration.
insert into app.migration_writes (
    migration_id, write_no, idempotency_key, step, length_before, digest_before, length_after, digest_after, sent_at
)
select
    %(migration_id)s::bigint,
    coalesce(max(w.write_no) + 1, 0),
    %(key)s, %(step)s, %(length_before)s, %(digest_before)s, %(length_after)s, %(digest_after)s, %(now)s
from app.migration_writes as w
where w.migration_id = %(migration_id)s
having
    not exists (
        select from app.migrations as m
        where m.migration_id = %(migration_id)s and m.cancel_asked_at is not null
    )
returning write_no

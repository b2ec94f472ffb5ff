-- An archive has its row from the moment it is seen. One that was uploaded over the network has it already.
insert into app.imports as i (user_id, sha256, archive_name, kind, bytes_total, upload_name, seen_as, waiting_since)
select
    users.user_id,
    %(sha256)s,
    %(archive_name)s,
    'unknown',
    %(bytes_total)s,
    %(upload_name)s,
    %(seen_as)s,
    now()
from app.users as users
where users.user_key = %(user_key)s
on conflict (user_id, sha256) do update
    set upload_name = excluded.upload_name, seen_as = excluded.seen_as
returning import_id

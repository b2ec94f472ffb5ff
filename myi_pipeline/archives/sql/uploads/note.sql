-- An archive whose content is known has a row from here on, whatever becomes of this scan. One that was uploaded over the
-- network has it already: the caller appends what to do then.
insert into app.imports (user_id, sha256, archive_name, kind, bytes_total, upload_name, seen_as, waiting_since)
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

-- Archives that are waiting and are no longer in the folder. If they are put there again, they wait again.
update app.imports as imports
set
    status = 'failed',
    is_refused = true,
    seen_as = '',
    error = 'it is no longer in the uploads folder: put it there again',
    finished_at = now()
from app.users as users
where
    users.user_id = imports.user_id
    and users.user_key = any(%(user_keys)s)
    and imports.status = 'pending'
    and imports.upload_name is not null
    and coalesce(imports.asked_at, imports.waiting_since, imports.created_at)
    < least(now() - interval '2 minutes', %(looked_at)s)
    and not (imports.import_id = any(%(found)s))
returning imports.import_id

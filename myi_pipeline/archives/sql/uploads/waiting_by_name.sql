-- Waiting imports of an archive whose run is looking for it.
select imports.import_id
from app.imports as imports
inner join app.users as users on users.user_id = imports.user_id
where
    users.user_key = %(user_key)s
    and imports.upload_name = %(name)s
    and imports.status = 'pending'
    and imports.seen_as is distinct from 'stuck'

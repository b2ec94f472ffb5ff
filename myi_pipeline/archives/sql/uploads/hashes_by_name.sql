-- What was stored under each name, with its identity when it was seen: an unchanged object need not be read again to
-- know its content.
select
    imports.upload_name,
    imports.seen_as,
    encode(imports.sha256, 'hex') as sha256
from app.imports as imports
inner join app.users as users on users.user_id = imports.user_id
where
    users.user_key = any(%(user_keys)s)
    and imports.upload_name is not null
    and imports.seen_as is not null
    and imports.seen_as not in ('', 'stuck')

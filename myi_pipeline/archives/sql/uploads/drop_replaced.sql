-- Loose files that arrive one after another make a different archive each time: one whose import has not begun is
-- replaced by the archive that now has its name.
delete from app.imports as imports
using app.imports as newer
where
    newer.import_id = any(%(found)s)
    and imports.user_id = newer.user_id
    and imports.upload_name = newer.upload_name
    and imports.status = 'pending'
    and imports.attempt = 0
    and coalesce(imports.waiting_since, imports.created_at) < %(looked_at)s
    and not (imports.import_id = any(%(found)s))

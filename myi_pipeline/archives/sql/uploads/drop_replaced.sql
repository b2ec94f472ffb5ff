-- Loose files that arrive one after the other make another archive each time: one whose import has not begun is replaced
-- by the archive that has its name now.
delete from app.imports as imports
using app.imports as newer
where
    newer.import_id = any(%(found)s)
    and imports.user_id = newer.user_id
    and imports.upload_name = newer.upload_name
    and imports.status = 'pending'
    and imports.attempt = 0
    and not (imports.import_id = any(%(found)s))

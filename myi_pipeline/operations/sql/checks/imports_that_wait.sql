-- Imports that a person has to look at: how many have failed, how many wait for a word, and the last failure.
select
    count(*) filter (where status = 'failed'),
    count(*) filter (where status = 'pending' and confirmation = 'needed'),
    (
        select left(archive_name || ': ' || coalesce(error, 'unknown reason'), 300)
        from app.imports
        where status = 'failed'
        order by finished_at desc nulls last, import_id desc
        limit 1
    )
from app.imports

with files as (
    select
        files.import_id,
        count(*) filter (
            where files.status <> 'running'
            and files.rows_read
            <> files.rows_loaded + files.rows_present + files.rows_identical + files.rows_quarantined
        ) as broken,
        sum(files.rows_read) as rows_read,
        sum(files.rows_loaded) as rows_loaded,
        sum(files.rows_quarantined) as rows_quarantined
    from app.import_files as files
    inner join app.imports as imports on imports.import_id = files.import_id and imports.attempt = files.attempt
    group by files.import_id
),

ended as (
    select
        imports.*,
        files.broken,
        files.rows_read as of_files,
        files.rows_loaded as loaded_of_files,
        files.rows_quarantined as quarantined_of_files
    from app.imports as imports
    left join files on files.import_id = imports.import_id
    where imports.status in ('completed', 'completed_with_errors')
)

select
    count(*),
    count(*) filter (
        where rows_read <> rows_loaded + rows_present + rows_identical + rows_quarantined
        or rows_read <> coalesce(of_files, 0)
        or rows_loaded <> coalesce(loaded_of_files, 0)
    ),
    coalesce(sum(broken), 0)::bigint,
    count(*) filter (where rows_quarantined <> coalesce(quarantined_of_files, 0))
from ended

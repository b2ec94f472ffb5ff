select
    u.user_id,
    u.user_key,
    u.display_name,
    u.time_zone,
    u.created_at,
    u.is_operator,
    count(i.import_id)::int as imports,
    coalesce(sum(f.rows_loaded), 0)::bigint as rows_loaded,
    max(i.finished_at) as last_import_at
from app.users as u
left join app.imports as i on i.user_id = u.user_id
-- The counters of an import are those of its latest attempt; the rows of its files add up all attempts.
left join lateral (
    select sum(files.rows_loaded) as rows_loaded
    from app.import_files as files
    where files.import_id = i.import_id
) as f on true
where %(user_key)s::text is null or u.user_key = %(user_key)s
group by u.user_id
order by u.user_id;

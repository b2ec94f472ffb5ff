-- Marts that were never built hold no user.
select
    r.removal_id,
    r.user_key,
    r.user_id,
    r.holds_key,
    r.files_deleted_at is null as has_files,
    r.names_deleted_at is null as has_names,
    (
        exists (select from ops.changed_users as c where c.user_id = r.user_id)
        -- Names that were deleted since.
        or exists (
            select from ops.changed_contents as c
            inner join ops.orphans as o on o.entity_kind = 'content' and o.entity_id = c.content_id
            where o.removal_id = r.removal_id and o.deleted_at is not null
        )
    )
    and exists (select from ops.mart_state as m where m.completed_run_id is not null) as is_in_marts,
    r.receipt_id,
    r.traces,
    r.last_error,
    r.removed_at
from ops.removals as r
where %(user_key)s::text is null or r.user_key = %(user_key)s
order by r.removal_id

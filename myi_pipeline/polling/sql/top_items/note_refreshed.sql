insert into ops.top_refreshes as t (user_id, refreshed_at, failures, retry_at, last_error)
values (
    %(user_id)s,
    case when %(error)s::text is null then %(now)s::timestamptz end,
    case when %(error)s::text is null then 0 else 1 end,
    %(retry_at)s,
    %(error)s
)
on conflict (user_id) do update
    set
        refreshed_at = coalesce(excluded.refreshed_at, t.refreshed_at),
        failures = case when excluded.last_error is null then 0 else t.failures + 1 end,
        retry_at = excluded.retry_at,
        last_error = excluded.last_error

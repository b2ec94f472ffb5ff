insert into ops.quota_blocks (client_id, bucket, blocked_at, blocked_until, in_a_row)
values (%(client_id)s, %(bucket)s, %(blocked_at)s, %(blocked_until)s, %(in_a_row)s)
on conflict (client_id, bucket) do update set
    blocked_at = excluded.blocked_at,
    blocked_until = excluded.blocked_until,
    in_a_row = excluded.in_a_row

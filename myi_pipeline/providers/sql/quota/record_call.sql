insert into ops.quota_calls as c (client_id, called_at, bucket, calls)
values (%(client_id)s, %(now)s, %(bucket)s, 1)
on conflict (client_id, called_at, bucket) do update set calls = c.calls + 1

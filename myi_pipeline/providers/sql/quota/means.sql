-- For each client id: who shares its polls, what a 429 has shown, and the polls in each of the last 24 hours.
select
    client.client_id,
    (
        select count(*)
        from app.credentials as c
        where
            c.client_id = client.client_id
            and c.is_main
            and c.status = 'active'
            and c.paused_at is null
            and %(scope)s = any(c.scopes)
    ) as users,
    q.polls_a_day,
    q.learnt_at,
    array(
        select coalesce(sum(call.calls), 0)::int
        from generate_series(0, 23) as hour (ago)
        left join ops.quota_calls as call
            on
                call.client_id = client.client_id
                and call.bucket = 'polls'
                and call.called_at > %(now)s - (hour.ago + 1) * interval '1 hour'
                and call.called_at <= %(now)s - hour.ago * interval '1 hour'
        group by hour.ago
        order by hour.ago
    ) as spent
from unnest(%(client_ids)s::text[]) as client (client_id)
left join ops.quota_clients as q on q.client_id = client.client_id

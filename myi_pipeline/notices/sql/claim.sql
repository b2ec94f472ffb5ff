update ops.notice_deliveries as taken
set
    attempts = taken.attempts + 1,
    tried_at = %(now)s,
    leased_until = %(leased_until)s
where taken.delivery_id in (
    select due.delivery_id
    from ops.notice_deliveries as due
    inner join (
        select
            delivery_id,
            row_number() over (partition by user_id order by due_at, delivery_id) as place
        from ops.notice_deliveries
        where
            delivered_at is null
            and given_up_at is null
            and due_at <= %(now)s
            and (leased_until is null or leased_until <= %(now)s)
            and (%(only)s::uuid[] is null or delivery_id = any(%(only)s))
    ) as ranked on ranked.delivery_id = due.delivery_id
    where
        due.delivered_at is null
        and due.given_up_at is null
        and due.due_at <= %(now)s
        and (due.leased_until is null or due.leased_until <= %(now)s)
        -- One user's receivers that hang leave room for the others'.
        and (due.user_id is null or ranked.place <= %(of_one_user)s)
    -- The operator's first: what failed may be why others wait.
    order by (due.user_id is null) desc, ranked.place, due.due_at, due.delivery_id
    limit %(limit)s
    for update of due skip locked
)
returning
    taken.delivery_id,
    taken.target_id,
    taken.settings_key,
    taken.user_id,
    taken.kind,
    taken.moment,
    taken.payload,
    taken.created_at,
    taken.due_at,
    taken.attempts,
    taken.tried_at,
    taken.delivered_at,
    taken.given_up_at,
    taken.status,
    taken.error

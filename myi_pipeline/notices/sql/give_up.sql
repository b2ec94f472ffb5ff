-- What is due and not to be sent any more: claimed too often, or tried before its receiver said that it is gone, or
-- overtaken by what came after it. By hand it can be sent again.
update ops.notice_deliveries as d
set
    given_up_at = %(now)s,
    leased_until = null,
    error = case
        when d.attempts >= %(most_claims)s then 'whoever sent it did not come back'
        else coalesce(d.error, 'something newer was sent in its place')
    end
where
    d.delivered_at is null
    and d.given_up_at is null
    and d.due_at <= %(now)s
    and (d.leased_until is null or d.leased_until <= %(now)s)
    and d.attempts > 0
    and (
        d.attempts >= %(most_claims)s
        or exists (
            select from app.notice_targets as t
            where t.target_id = d.target_id and t.stopped_at is not null
        )
        or exists (
            select from ops.notice_deliveries as newer
            where
                newer.notice_id = d.notice_id
                and newer.target_id is not distinct from d.target_id
                and newer.settings_key is not distinct from d.settings_key
                and (newer.created_at > d.created_at or (newer.moment = 'ended' and d.moment <> 'ended'))
        )
    )

-- Before the invitee has agreed, the inviter only sees the user name that they typed, and nothing if they made a link.
select
    a.agreement_id,
    a.inviter_id = %(user_id)s as is_inviter,
    case when viewer.may_see_other then other.user_id end as other_id,
    case when viewer.may_see_other or a.link_hash is null then other.user_key end as other_key,
    case when viewer.may_see_other then other.display_name end as other_name,
    case when a.inviter_id = %(user_id)s then a.inviter_parts else a.invitee_parts end as mine,
    case when a.inviter_id = %(user_id)s then a.invitee_parts else a.inviter_parts end as theirs,
    a.invited_at,
    a.expires_at,
    a.accepted_at
from app.agreements as a
cross join lateral (select a.accepted_at is not null or a.invitee_id = %(user_id)s as may_see_other) as viewer
left join app.users as other
    on other.user_id = case when a.inviter_id = %(user_id)s then a.invitee_id else a.inviter_id end
where
    %(user_id)s in (a.inviter_id, a.invitee_id)
    and (a.accepted_at is not null or a.expires_at > %(now)s)
    and (%(agreement_id)s::bigint is null or a.agreement_id = %(agreement_id)s)
order by a.invited_at desc, a.agreement_id desc

-- What this listener shows and may see, without naming the other one.
select
    a.inviter_id = %(user_id)s as is_inviter,
    case when a.inviter_id = %(user_id)s then a.inviter_parts else a.invitee_parts end as mine,
    case when a.inviter_id = %(user_id)s then a.invitee_parts else a.inviter_parts end as theirs,
    a.invited_at,
    a.expires_at,
    a.accepted_at
from app.agreements as a
where %(user_id)s in (a.inviter_id, a.invitee_id)
order by a.agreement_id

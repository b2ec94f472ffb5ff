update app.agreements
set
    inviter_parts = case when inviter_id = %(user_id)s then %(parts)s::text[] else inviter_parts end,
    invitee_parts = case when invitee_id = %(user_id)s then %(parts)s::text[] else invitee_parts end
where
    agreement_id = %(agreement_id)s
    and (inviter_id = %(user_id)s or (invitee_id = %(user_id)s and accepted_at is not null))

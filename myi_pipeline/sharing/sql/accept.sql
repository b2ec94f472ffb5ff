update app.agreements
set
    invitee_parts = %(parts)s,
    accepted_at = %(now)s
where
    agreement_id = %(agreement_id)s
    and invitee_id = %(user_id)s
    and accepted_at is null
    and expires_at > %(now)s
returning inviter_id

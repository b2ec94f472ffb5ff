insert into app.agreements (inviter_id, invitee_id, link_hash, inviter_parts, invited_at, expires_at)
values (%(user_id)s, %(invitee_id)s, %(link_hash)s, %(parts)s, %(now)s, %(expires_at)s)

-- Also deletes expired sign-ins.
with forgotten as (
    delete from app.sign_ins where expires_at < now()
)

insert into app.sign_ins (
    state_hash, browser_hash, user_id, client_id, verifier, return_to, switch_to, is_further, attempt_id
)
values (
    %(state_hash)s, %(browser_hash)s, %(user_id)s, %(client_id)s, %(verifier)s, %(return_to)s, %(switch_to)s,
    %(is_further)s,
    (select attempt_id from app.sign_in_attempts where attempt_id = %(attempt_id)s)
)

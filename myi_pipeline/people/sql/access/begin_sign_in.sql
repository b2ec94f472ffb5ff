-- Sign-ins that were not finished go with the next one.
with forgotten as (
    delete from app.sign_ins where expires_at < now()
)

insert into app.sign_ins (state_hash, browser_hash, user_id, client_id, verifier, return_to, switch_to)
values (%(state_hash)s, %(browser_hash)s, %(user_id)s, %(client_id)s, %(verifier)s, %(return_to)s, %(switch_to)s)

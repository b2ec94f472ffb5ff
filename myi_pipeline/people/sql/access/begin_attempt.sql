-- Also deletes attempts that expired long ago.
with forgotten as (
    delete from app.sign_in_attempts where expires_at < now() - interval '1 hour'
)

insert into app.sign_in_attempts (attempt_id, secret_hash, code, app_name, scope, address)
select %(attempt_id)s, %(secret_hash)s, %(code)s, %(app_name)s, %(scope)s, left(%(address)s, 100)
from (
    select
        count(*) as waiting,
        count(case when address = left(%(address)s, 100) then 1 end) as of_the_address
    from app.sign_in_attempts
    where expires_at > now() and state = 'pending'
) as counted
where waiting < %(most)s and of_the_address < %(most_of_an_address)s
returning expires_at

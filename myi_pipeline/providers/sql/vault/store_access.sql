-- Only for the login as it was when the refresh began: a sign-in that came meanwhile has tokens of its own.
insert into app.spotify_tokens (user_id, sealed, expires_at, granted_at)
select
    user_id,
    %(sealed)s,
    %(expires_at)s,
    %(now)s
from app.credentials
where user_id = %(user_id)s and authorised_at = %(authorised_at)s and status = 'active'
on conflict (user_id) do update
    set
        sealed = excluded.sealed,
        expires_at = excluded.expires_at,
        granted_at = excluded.granted_at

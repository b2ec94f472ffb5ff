insert into app.provider_sign_ins (session_id, provider, user_id, state_hash, verifier, redirect_uri, expires_at)
values (
    %(session_id)s, %(provider)s, %(user_id)s, %(state_hash)s, %(verifier)s, %(redirect_uri)s,
    %(now)s::timestamptz + interval '10 minutes'
)
on conflict (session_id, provider) do update
    set
        state_hash = excluded.state_hash,
        verifier = excluded.verifier,
        redirect_uri = excluded.redirect_uri,
        expires_at = excluded.expires_at

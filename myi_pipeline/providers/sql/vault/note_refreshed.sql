-- Only if the login is the one that was refreshed: a sign-in in the meantime has tokens of its own.
update app.credentials
set
    refresh_token = coalesce(%(refresh_token)s, refresh_token),
    scopes = coalesce(%(scopes)s, scopes),
    refreshed_at = %(now)s,
    access_token = case when status = 'active' then coalesce(%(access_token)s, access_token) end,
    access_expires_at = case when status = 'active' then coalesce(%(access_expires_at)s, access_expires_at) end,
    access_granted_at = case
        when status <> 'active' then null
        when %(access_token)s::bytea is null then access_granted_at
        else %(now)s
    end,
    refusals = 0,
    last_error = null,
    last_failed_at = null
where provider_account_id = %(account)s and authorised_at = %(authorised_at)s

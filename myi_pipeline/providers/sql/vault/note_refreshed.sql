update app.credentials
set
    refresh_token = coalesce(%(refresh_token)s, refresh_token),
    scopes = coalesce(%(scopes)s, scopes),
    refreshed_at = %(now)s,
    refusals = 0,
    last_error = null,
    last_failed_at = null
where user_id = %(user_id)s and authorised_at = %(authorised_at)s

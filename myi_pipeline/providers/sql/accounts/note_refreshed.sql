update app.account_credentials
set
    refresh_token = coalesce(%(refresh_token)s, refresh_token),
    access_token = %(access_token)s,
    access_expires_at = %(access_expires_at)s,
    refreshed_at = %(now)s,
    refusals = 0,
    last_error = null,
    last_failed_at = null
where account_id = %(account_id)s and authorised_at = %(authorised_at)s

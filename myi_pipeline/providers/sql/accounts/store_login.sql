insert into app.account_credentials (
    account_id, refresh_token, access_token, access_expires_at, authorised_at, refreshed_at
)
values (
    %(account_id)s, %(refresh_token)s, %(access_token)s, %(access_expires_at)s, %(now)s, %(now)s
)

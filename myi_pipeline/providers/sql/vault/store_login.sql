-- Under the table's lock, so that nothing comes between the two. No ON CONFLICT: reading its `excluded` row takes the
-- right to read the column, which whoever serves people does not have on refresh_token.
with changed as (
    update app.credentials set
        client_id = %(client_id)s,
        account_key = %(account_key)s,
        account_id = %(account_id)s,
        profile_id = %(profile_id)s,
        names_asked_at = %(now)s,
        refresh_token = %(refresh_token)s,
        scopes = %(scopes)s,
        status = 'active',
        paused_at = null,
        authorised_at = %(now)s,
        refreshed_at = %(now)s,
        refusals = 0,
        last_error = null,
        last_failed_at = null,
        warned_days = null
    where user_id = %(user_id)s
    returning user_id
)

insert into app.credentials (
    user_id, client_id, account_key, account_id, profile_id, names_asked_at, refresh_token, scopes, authorised_at,
    refreshed_at
)
select
    %(user_id)s,
    %(client_id)s,
    %(account_key)s,
    %(account_id)s,
    %(profile_id)s,
    %(now)s,
    %(refresh_token)s,
    %(scopes)s,
    %(now)s,
    %(now)s
where not exists (select from changed)

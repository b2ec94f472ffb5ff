-- Under the table's lock, so that nothing comes between the two. No ON CONFLICT: reading its `excluded` row requires
-- the right to read the column, which the role that serves people does not have for refresh_token.
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
        warned_days = null,
        is_main = %(is_main)s
    where provider_account_id = %(account)s
    returning provider_account_id
)

insert into app.credentials (
    user_id, client_id, account_key, account_id, profile_id, names_asked_at, refresh_token, scopes, authorised_at,
    refreshed_at, is_main
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
    %(now)s,
    %(is_main)s
where not exists (select from changed)

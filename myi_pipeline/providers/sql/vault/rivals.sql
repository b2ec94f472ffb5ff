-- Every login with one of these names, and every login that lacks a kind of name that the answer included.
select
    provider_account_id,
    user_id,
    is_main,
    account_id,
    profile_id
from app.credentials
where
    (%(but_user)s::int is null or user_id <> %(but_user)s)
    and (%(but_account)s::int is null or provider_account_id <> %(but_account)s)
    and (
        account_id = %(account_id)s::text
        or profile_id = %(profile_id)s::text
        or (%(account_id)s::text is null and profile_id is null)
        or (%(profile_id)s::text is null and account_id is null)
    )
order by user_id, provider_account_id

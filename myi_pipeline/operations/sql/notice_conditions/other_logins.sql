-- Logins at other services than Spotify, with whether they are good; else they have to be renewed.
select
    user_id,
    provider as service,
    'account ' || account_id as subject,
    state = 'active' as is_good
from app.provider_accounts
where state <> 'ended' and provider <> 'spotify' and paused_at is null
union all
select
    user_id,
    service,
    service as subject,
    secret_ended_at is null as is_good
from app.linked_services

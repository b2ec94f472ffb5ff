-- Linked accounts that are not paused, those in trouble first: whose, whether a new login is needed, whether the
-- circuit is open, and failures in a row. A user's Spotify login that has ended is found with the logins.
select
    u.user_key,
    a.provider,
    a.state = 'reauth_required' and a.provider <> 'spotify' as must_sign_in,
    coalesce(c.state in ('open', 'half_open'), false) as is_open,
    coalesce(s.failures, 0) as failures,
    coalesce(case when c.state in ('open', 'half_open') then c.reason end, s.last_error) as reason
from app.provider_accounts as a
inner join app.users as u on u.user_id = a.user_id
left join ops.account_circuits as c on c.account_id = a.account_id
left join ops.playlist_states as s on s.account_id = a.account_id
where a.state <> 'ended' and a.paused_at is null
order by must_sign_in desc, is_open desc, failures desc, a.account_id

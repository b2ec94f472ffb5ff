-- Imported as unlinked, because logins are not exported.
insert into app.provider_accounts (user_id, provider, provider_account, name, state, linked_at, ended_at)
select %(user_id)s, r.provider, r.account, r.name, 'ended', r.linked_at, coalesce(r.ended_at, now())
from told_accounts_playlist_services as t
cross join lateral jsonb_to_record(t.told)
    as r (provider text, account text, name text, linked_at timestamptz, ended_at timestamptz)
order by t.row_no
on conflict (user_id, provider, provider_account) do nothing;

insert into app.provider_accounts as a (user_id, provider, provider_account, name, client_id, scopes, state, linked_at)
values (
    %(user_id)s, %(provider)s, %(provider_account)s, %(name)s, %(client_id)s, %(scopes)s, 'active', %(now)s
)
on conflict (user_id, provider, provider_account) do update
    set
        name = coalesce(excluded.name, a.name),
        client_id = excluded.client_id,
        scopes = excluded.scopes,
        state = 'active',
        ended_at = null,
        linked_at = case when a.state = 'ended' then excluded.linked_at else a.linked_at end
returning account_id

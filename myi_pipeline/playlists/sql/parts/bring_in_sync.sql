-- Imported as paused: nothing is written to an account before its owner says so here.
insert into app.saved_migrations (
    user_id, source_playlist_id, source_name, target_account_id, target_playlist, target_name, is_equal, target_before,
    is_daily, created_at, looked_at, paused_at
)
select
    %(user_id)s,
    p.playlist_id,
    r.source_name,
    target.account_id,
    r.target_playlist,
    r.target_name,
    r.is_equal,
    r.target_before,
    r.is_daily,
    r.created_at,
    now(),
    coalesce(r.paused_at, now())
from told_playlists_in_sync as t
cross join lateral jsonb_to_record(t.told) as r (
    playlist int, source_name text, target_provider text, target_account text, target_playlist text, target_name text,
    is_equal boolean, target_before jsonb, is_daily boolean, created_at timestamptz, paused_at timestamptz
)
inner join told_playlists_lists as listed on (listed.told ->> 'playlist')::int = r.playlist
inner join app.provider_accounts as target
    on
        target.user_id = %(user_id)s
        and target.provider = r.target_provider
        and target.provider_account = r.target_account
left join app.provider_accounts as source
    on
        source.user_id = %(user_id)s
        and source.provider = listed.told ->> 'provider'
        and source.provider_account = listed.told ->> 'account'
inner join raw.playlists as p
    on
        p.user_id = %(user_id)s
        and p.account_id is not distinct from source.account_id
        and p.provider_playlist = listed.told ->> 'provider_playlist'
where (listed.told ->> 'account' is null) = (source.account_id is null)
order by t.row_no
on conflict (source_playlist_id, target_account_id, target_playlist) do nothing;

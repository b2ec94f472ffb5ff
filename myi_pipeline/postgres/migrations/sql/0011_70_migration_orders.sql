-- Whoever serves people sees no playlists in raw: of one that is to be moved this much is told to its owner.
create function app.playlist_to_move(wanted int)
returns table (name text, version_no int, provider text, provider_playlist text, account_id int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select v.name, v.version_no, p.provider, p.provider_playlist, p.account_id
    from raw.playlists as p
    -- Of one that was never read there is nothing to move.
    left join lateral (
        select w.name, w.version_no
        from raw.playlist_versions as w
        where w.playlist_id = p.playlist_id and w.items is not null
        order by w.version_no desc
        limit 1
    ) as v on true
    where p.playlist_id = wanted and p.user_id = nullif(current_setting('app.user_id', true), '')::int
$$;
comment on function app.playlist_to_move(int) is
'Name and last readable version of a playlist of the user of this transaction; no version: its entries were never read.';
revoke all on function app.playlist_to_move(int) from public;
grant execute on function app.playlist_to_move(int) to {app};

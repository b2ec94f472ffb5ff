-- A list that is already here keeps the history it has.
create temporary table list_here on commit drop as
select r.playlist, a.account_id, r.provider, r.provider_playlist, r.first_seen_at, known.playlist_id
from told_playlists_lists as t
cross join lateral jsonb_to_record(t.told)
    as r (playlist int, provider text, account text, provider_playlist text, first_seen_at timestamptz)
left join app.provider_accounts as a
    on a.user_id = %(user_id)s and a.provider = r.provider and a.provider_account = r.account
left join raw.playlists as known
    on
        known.user_id = %(user_id)s
        and known.account_id is not distinct from a.account_id
        and known.provider_playlist = r.provider_playlist
where (r.account is null) = (a.account_id is null);

delete from list_here where playlist_id is not null;

insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)
select %(user_id)s, account_id, provider, provider_playlist, first_seen_at
from list_here
order by playlist;

update list_here as l
set playlist_id = p.playlist_id
from raw.playlists as p
where
    p.user_id = %(user_id)s
    and p.account_id is not distinct from l.account_id
    and p.provider_playlist = l.provider_playlist;

insert into raw.playlist_items (
    playlist_id, items_key, position, kind, content_id, added_at, added_by, item_id, original, artists
)
select
    l.playlist_id,
    r.entries,
    r.position,
    r.kind,
    c.content_id,
    r.added_at,
    r.added_by,
    r.item_id,
    r.original,
    r.artists
from told_playlists_entries as t
cross join lateral jsonb_to_record(t.told) as r (
    playlist int, entries uuid, position int, kind text, content uuid, added_at timestamptz, added_by text, item_id text,
    original jsonb, artists text []
)
inner join list_here as l on l.playlist = r.playlist
left join raw.contents as c on c.content_key = r.content
order by t.row_no;

insert into raw.playlist_versions (
    playlist_id, version_no, seen_at, state, name, description, owner_id, owner_name, is_public, is_collaborative,
    provider_version, image_url, url, items_key, items
)
select
    l.playlist_id,
    r.version_no,
    r.seen_at,
    r.state,
    r.name,
    r.description,
    r.owner_id,
    r.owner_name,
    r.is_public,
    r.is_collaborative,
    r.provider_version,
    r.image_url,
    r.url,
    r.entries,
    r.items
from told_playlists_versions as t
cross join lateral jsonb_to_record(t.told) as r (
    playlist int, version_no int, seen_at timestamptz, state text, name text, description text, owner_id text,
    owner_name text, is_public boolean, is_collaborative boolean, provider_version text, image_url text, url text,
    entries uuid, items int
)
inner join list_here as l on l.playlist = r.playlist
order by t.row_no;

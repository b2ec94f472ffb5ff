-- The functions with which the web interface reads and makes playlists have a user as an argument. A role that may not
-- read raw.playlists itself only gets those of the user of its transaction, as with row security, whatever the
-- argument.
create function ops.may_ask_for(for_user int) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select
        has_table_privilege(session_user, 'raw.playlists', 'select')
        or coalesce(for_user = nullif(current_setting('app.user_id', true), '')::int, false)
$$;
comment on function ops.may_ask_for(int) is
'Whether this session may see a user''s playlists: it may read all, or it is the user of its transaction.';
revoke all on function ops.may_ask_for(int) from public;

-- Lists that MYI makes itself, from former entries of a playlist or from the most played tracks, and queries for making
-- and exporting them. The web interface calls these functions, and has no other privileges on raw.
create or replace function ops.playlists_of(for_user int)
returns table (playlist_id int, name text, items int, state text, version_no int, seen_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select distinct on (p.playlist_id) p.playlist_id, v.name, v.items, v.state, v.version_no, v.seen_at
    from raw.playlists as p
    inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
    where p.user_id = for_user and ops.may_ask_for(for_user)
    order by p.playlist_id, v.version_no desc
$$;

create or replace function ops.playlist_versions_of(for_user int, of_playlist int)
returns table (
    version_no int,
    seen_at timestamptz,
    state text,
    name text,
    description text,
    owner_name text,
    url text,
    items_key uuid,
    items int
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select v.version_no, v.seen_at, v.state, v.name, v.description, v.owner_name, v.url, v.items_key, v.items
    from raw.playlists as p
    inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
    where p.user_id = for_user and p.playlist_id = of_playlist and ops.may_ask_for(for_user)
    order by v.version_no desc
$$;

create or replace function ops.playlist_entries_of(for_user int, of_playlist int, of_version int)
returns table (
    place int,
    kind text,
    content_id int,
    uri text,
    title text,
    artist text,
    album text,
    isrc text,
    duration_ms int,
    added_at timestamptz,
    added_by text,
    item_id text,
    original jsonb,
    artists text[]
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select
        i.position,
        i.kind,
        i.content_id,
        coalesce(c.uri, i.original ->> 'uri'),
        coalesce(c.title, i.original ->> 'title'),
        coalesce(c.creator, i.original -> 'artists' ->> 0),
        coalesce(c.collection, i.original ->> 'album'),
        c.isrc,
        coalesce(c.duration_ms, (i.original ->> 'duration_ms')::int),
        i.added_at,
        i.added_by,
        i.item_id,
        i.original,
        i.artists
    from raw.playlists as p
    inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
    inner join raw.playlist_items as i on i.playlist_id = v.playlist_id and i.items_key = v.items_key
    left join raw.contents as c on c.content_id = i.content_id
    where p.user_id = for_user and p.playlist_id = of_playlist and ops.may_ask_for(for_user) and v.version_no = of_version
    order by i.position
$$;

-- If one of two equal entries is left, the second one counts as removed. Entries without content are identified by
-- names.
create or replace function ops.playlist_removed_of(for_user int, of_playlist int, since_version int)
returns table (kind text, content_id int, added_at timestamptz, added_by text, original jsonb, artists text[])
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with lists as (
        select
            v.items_key,
            min(v.version_no) as first_no,
            max(v.version_no) = max(max(v.version_no)) over () as is_now
        from raw.playlists as p
        inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
        where
            p.user_id = for_user
            and ops.may_ask_for(for_user)
            and p.playlist_id = of_playlist
            and v.version_no >= since_version
            and v.items_key is not null
        group by v.items_key
    ),

    entries as (
        select
            l.first_no,
            l.is_now,
            i.position,
            i.kind,
            i.content_id,
            i.added_at,
            i.added_by,
            i.original,
            i.artists,
            what.identity,
            row_number() over (partition by l.items_key, what.identity order by i.position) as copy
        from lists as l
        inner join raw.playlist_items as i on i.playlist_id = of_playlist and i.items_key = l.items_key
        cross join lateral (
            select coalesce(i.content_id::text, concat_ws(' ', i.kind, i.original - 'told')) as identity
        ) as what
    ),

    gone as (
        select distinct on (e.identity, e.copy) e.*
        from entries as e
        where not exists (
            select from entries as n where n.is_now and n.identity = e.identity and n.copy = e.copy
        )
        order by e.identity, e.copy, e.first_no, e.position
    )

    select g.kind, g.content_id, g.added_at, g.added_by, g.original, g.artists
    from gone as g
    order by g.first_no, g.position
$$;

-- Keys begin with a slash, unlike names of files. As for any other playlist, a list that differs from its last version
-- gets a new version; equal entries in the same order have the same items_key.
create or replace function ops.keep_list(
    for_user int, list_key text, list_name text, list_description text, entries jsonb, kept_at timestamptz
)
returns table (playlist_id int, version_no int, is_new boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    list int;
    entries_key constant uuid := md5(entries::text)::uuid;
    total constant int := jsonb_array_length(entries);
    last raw.playlist_versions;
begin
    if not ops.may_ask_for(for_user) then
        raise insufficient_privilege using message = 'not a list of this user';
    end if;
    if list_key not like '/%' or total > 100000 then
        raise check_violation using message = 'not a list that MYI makes';
    end if;
    if exists (
        select from jsonb_to_recordset(entries) as e (content_id int)
        where e.content_id is not null and not exists (select from raw.contents as c where c.content_id = e.content_id)
    ) then
        raise foreign_key_violation using message = 'an entry names a content that is not there';
    end if;
    select p.playlist_id into list
    from raw.playlists as p
    where p.user_id = for_user and p.account_id is null and p.provider_playlist = list_key;
    if list is null then
        if (
            select count(*) >= 1000 from raw.playlists as p
            where p.user_id = for_user and p.account_id is null and p.provider_playlist like '/%'
        ) then
            raise program_limit_exceeded using message = 'too many lists';
        end if;
        insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)
        values (for_user, null, 'file', list_key, kept_at)
        on conflict do nothing;
        -- Another process may have just made it.
        select p.playlist_id into strict list
        from raw.playlists as p
        where p.user_id = for_user and p.account_id is null and p.provider_playlist = list_key;
    end if;
    -- "myip": everything that stores a version takes this lock, as two at once would use the same number.
    perform pg_advisory_xact_lock(1836673392, list);
    select v.* into last
    from raw.playlist_versions as v
    where v.playlist_id = list
    order by v.version_no desc
    limit 1;
    if last.items_key = entries_key and last.name = list_name and last.description is not distinct from list_description then
        return query select list, last.version_no, false;
        return;
    end if;
    insert into raw.playlist_items (
        playlist_id, items_key, position, kind, content_id, added_at, added_by, original, artists
    )
    select list, entries_key, e.place, e.kind, e.content_id, e.added_at, e.added_by, e.original, e.artists
    from jsonb_to_recordset(entries) as e (
        place int, kind text, content_id int, added_at timestamptz, added_by text, original jsonb, artists text[]
    )
    where not exists (
        select from raw.playlist_items as known where known.playlist_id = list and known.items_key = entries_key
    );
    insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name, description, items_key, items)
    values (list, coalesce(last.version_no, 0) + 1, kept_at, 'readable', list_name, list_description, entries_key, total);
    return query select list, coalesce(last.version_no, 0) + 1, true;
end $$;

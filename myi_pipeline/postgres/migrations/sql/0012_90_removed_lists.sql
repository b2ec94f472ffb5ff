-- Lists that are no service's (from files, or made by MYI) can be removed. As when a playlist leaves its service's library,
-- a further version marks the list as gone, and everything it was is kept. The web interface calls this function, and
-- has no other privileges on raw.
create function ops.remove_list(for_user int, of_playlist int, removed_at timestamptz)
returns table (service text, is_new boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    list raw.playlists;
    last raw.playlist_versions;
begin
    if not ops.may_ask_for(for_user) then
        raise insufficient_privilege using message = 'not a list of this user';
    end if;
    select p.* into list from raw.playlists as p where p.user_id = for_user and p.playlist_id = of_playlist;
    if list.playlist_id is null then
        return;
    end if;
    if list.account_id is not null then
        return query select list.provider, false;
        return;
    end if;
    -- "myip": everything that stores a version takes this lock, as two at once would use the same number.
    perform pg_advisory_xact_lock(1836673392, list.playlist_id);
    select v.* into last
    from raw.playlist_versions as v
    where v.playlist_id = list.playlist_id
    order by v.version_no desc
    limit 1;
    if last.version_no is null or last.state = 'gone' then
        return query select null::text, false;
        return;
    end if;
    insert into raw.playlist_versions (
        playlist_id, version_no, seen_at, state, name, description, owner_id, owner_name, is_public, is_collaborative,
        provider_version, image_url, url, items_key, items
    )
    values (
        last.playlist_id, last.version_no + 1, removed_at, 'gone', last.name, last.description, last.owner_id,
        last.owner_name, last.is_public, last.is_collaborative, last.provider_version, last.image_url, last.url,
        last.items_key, last.items
    );
    return query select null::text, true;
end $$;
comment on function ops.remove_list(int, int, timestamptz) is
'Marks a list that is no service''s as gone. No row: the user has no such playlist; `service`: it belongs to one, and stays;
`is_new`: it was not removed before.';
revoke all on function ops.remove_list(int, int, timestamptz) from public;
grant execute on function ops.remove_list(int, int, timestamptz) to {app}, {ingest};

-- Keys begin with a slash, unlike names of files. As for any other playlist, a list that differs from its last version
-- gets a new version; equal entries in the same order have the same items_key. A list that was removed comes back by a
-- new version, too. Removed lists do not count towards the limit.
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
    if
        last.state = 'readable'
        and last.items_key = entries_key
        and last.name = list_name
        and last.description is not distinct from list_description
    then
        return query select list, last.version_no, false;
        return;
    end if;
    if (last.version_no is null or last.state = 'gone') and (
        select count(*) >= 1000 from raw.playlists as p
        where
            p.user_id = for_user and p.account_id is null and p.provider_playlist like '/%' and p.playlist_id <> list
            and (
                select v.state from raw.playlist_versions as v
                where v.playlist_id = p.playlist_id
                order by v.version_no desc
                limit 1
            ) is distinct from 'gone'
    ) then
        raise program_limit_exceeded using message = 'too many lists';
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
comment on function ops.keep_list(int, text, text, text, jsonb, timestamptz) is
'Keeps a list that MYI makes for a user, and says whether that is a new version; at most 1,000 lists a user, without those
that were removed.';

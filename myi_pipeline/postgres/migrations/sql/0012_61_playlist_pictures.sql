-- Pictures of playlists from services, stored like those of albums: only from the same host, each URL once. They are
-- deleted with the last version that refers to them.
create index playlist_versions_picture on raw.playlist_versions (image_url)
where image_url like 'https://i.scdn.co/image/%';

create function ops.pictures_of_playlists() returns table (playlist_id int, digest bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select p.playlist_id, k.digest
    from raw.playlists as p
    cross join lateral (
        select v.image_url
        from raw.playlist_versions as v
        where v.playlist_id = p.playlist_id
        order by v.version_no desc
        limit 1
    ) as latest
    inner join raw.kept_pictures as k on k.url = latest.image_url
    where p.user_id = nullif(current_setting('app.user_id', true), '')::int
$$;
comment on function ops.pictures_of_playlists() is
'Playlists of the session''s user (app.user_id) whose picture from the service is stored, with its SHA-256.';
revoke all on function ops.pictures_of_playlists() from public;
grant execute on function ops.pictures_of_playlists() to {app};

create function ops.drop_playlist_pictures() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    urls text[];
begin
    select coalesce(array_agg(distinct d.image_url), '{}') into urls
    from deleted as d
    where
        d.image_url like 'https://i.scdn.co/image/%'
        and not exists (select from raw.playlist_versions as v where v.image_url = d.image_url)
        and not exists (select from raw.pictures as p where p.url = d.image_url);
    if urls = '{}' then
        return null;
    end if;
    delete from ops.picture_fetches as f where f.url = any(urls);
    with gone as (
        delete from raw.kept_pictures as k where k.url = any(urls) returning k.digest
    )
    delete from raw.picture_files as f
    using gone as g
    where
        f.digest = g.digest
        and not exists (select from raw.kept_pictures as k where k.digest = g.digest and not (k.url = any(urls)));
    return null;
end $$;
comment on function ops.drop_playlist_pictures() is 'Deletes pictures that no version of a playlist refers to any more.';
revoke all on function ops.drop_playlist_pictures() from public;
create trigger drop_pictures after delete on raw.playlist_versions
referencing old table as deleted
for each statement execute function ops.drop_playlist_pictures();

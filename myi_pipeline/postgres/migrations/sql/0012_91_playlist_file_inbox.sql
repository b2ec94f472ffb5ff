-- Playlist files that were uploaded and read, until their playlists are stored. The web interface may not write playlists
-- itself: it leaves the file by the function below, and has no other privileges on the table.
create table ops.playlist_file_inbox (
    file_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    file_name text not null check (length(file_name) between 1 and 200),
    content bytea not null,
    received_at timestamptz not null default now(),
    tries int not null default 0 check (tries >= 0),
    next_try_at timestamptz not null default now(),
    last_error text
);
create index playlist_file_inbox_user on ops.playlist_file_inbox (user_id);
comment on table ops.playlist_file_inbox is
'Uploaded playlist files whose playlists are not stored yet; a row is deleted once they are.';
grant select, update, delete on ops.playlist_file_inbox to {ingest};

create function ops.accept_playlist_file(for_user int, given_name text, given bytea, most_bytes bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not ops.may_ask_for(for_user) then
        raise insufficient_privilege using message = 'not a file of this user';
    end if;
    if (
        select coalesce(sum(octet_length(i.content)), 0) + octet_length(given) > most_bytes
        from ops.playlist_file_inbox as i
        where i.user_id = for_user
    ) then
        return false;
    end if;
    insert into ops.playlist_file_inbox (user_id, file_name, content) values (for_user, given_name, given);
    perform pg_notify('myi_wake', 'playlist_files');
    return true;
end $$;
comment on function ops.accept_playlist_file(int, text, bytea, bigint) is
'Takes a playlist file for storing its playlists; false when too much of this user is waiting.';
revoke all on function ops.accept_playlist_file(int, text, bytea, bigint) from public;
grant execute on function ops.accept_playlist_file(int, text, bytea, bigint) to {app}, {ingest};

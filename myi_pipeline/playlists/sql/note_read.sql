insert into ops.playlist_reads (playlist_id, provider_version, permission, read_at)
values (%(playlist_id)s, %(provider_version)s, %(permission)s, %(now)s)
on conflict (playlist_id) do update
    set
        provider_version = excluded.provider_version, permission = excluded.permission, read_at = excluded.read_at

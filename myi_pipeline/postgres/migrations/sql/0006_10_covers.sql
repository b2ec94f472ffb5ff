-- Pictures of the catalogue that the house keeps. They are nobody's: which of them a person may see follows from the
-- plays of that person, and the marts alone say it.
create table raw.picture_files (
    digest bytea primary key,
    media_type text not null check (media_type in ('image/jpeg', 'image/png', 'image/webp')),
    content bytea not null check (octet_length(content) between 1 and 300000),
    fetched_at timestamptz not null,
    check (digest = pg_catalog.sha256(content))
);
-- Pictures are packed already: packing them again would cost time and win nothing.
alter table raw.picture_files alter column content set storage external;
comment on table raw.picture_files is 'Bytes of pictures, each once, by their SHA-256.';

create table raw.kept_pictures (
    -- Spotify's picture host, whatever an answer named.
    url text primary key check (url ~ '^https://i\.scdn\.co/image/[0-9A-Za-z_-]{1,200}$'),
    digest bytea not null references raw.picture_files
);
create index kept_pictures_digest on raw.kept_pictures (digest);
comment on table raw.kept_pictures is 'Which addresses of raw.pictures are kept, and as which bytes.';

create table ops.picture_fetches (
    url text primary key check (url ~ '^https://i\.scdn\.co/image/[0-9A-Za-z_-]{1,200}$'),
    state text not null default 'waiting' check (state in ('waiting', 'kept', 'gone', 'unfit')),
    due_at timestamptz not null,
    failures int not null default 0 check (failures >= 0),
    lease_id uuid,
    leased_until timestamptz,
    last_error text,
    check ((lease_id is null) = (leased_until is null)),
    check (state = 'waiting' or lease_id is null)
);
comment on table ops.picture_fetches is
'What became of asking for pictures, by address. What is kept, gone or unfit is never asked for again.';
comment on column ops.picture_fetches.leased_until is 'Until then one worker alone asks; whoever died lets go by it.';

-- Written by the role that asks Spotify, which reads no bytes back; dbt tells which pictures there are, and has no bytes.
grant select (digest), insert on raw.picture_files to {ingest};
grant select, insert on raw.kept_pictures to {ingest};
grant select, insert, update on ops.picture_fetches to {ingest};
grant select on raw.kept_pictures to {dbt};

-- Whoever serves people gives out the bytes of a picture whose digest it knows. The marts tell digests, to a role that sees
-- one user's plays; without one, nothing can be listed or guessed here.
create function ops.picture_content(wanted bytea) returns table (media_type text, content bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select f.media_type, f.content
    from raw.picture_files as f
    where f.digest = wanted
$$;
comment on function ops.picture_content(bytea) is 'The picture with this SHA-256; no row when there is none.';
revoke all on function ops.picture_content(bytea) from public;
grant execute on function ops.picture_content(bytea) to {app};

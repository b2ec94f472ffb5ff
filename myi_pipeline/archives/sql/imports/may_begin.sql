-- Whether the import of this archive may begin: no other user has its content, a person has confirmed that it belongs
-- to this user as well, or it has begun here before.
select
    exists (
        select
        from app.imports
        where user_id = %(user_id)s and sha256 = %(sha256)s and (confirmation = 'given' or attempt > 0)
    )
    or not (
        app.is_anothers_archive(%(user_id)s, %(sha256)s, %(sizes)s, %(crcs)s)
        or app.are_anothers_rows(
            %(user_id)s,
            %(sources)s::smallint [],
            %(times)s::timestamptz [],
            %(lengths)s::int [],
            %(content_keys)s::uuid []
        )
    )

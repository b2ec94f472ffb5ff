-- The times bound the search to one or two partitions. Digests represent contents, whose ids may not be known yet. The
-- names of a play are those of its content and of all contents that are aliases of the same one.
select
    event.played_at,
    array(
        select replace(name.name, '-', '')
        from (
            select coalesce(min(alias.canonical_id), event.content_id) as content_id
            from raw.content_aliases as alias
            where alias.content_id = event.content_id
        ) as canonical
        cross join lateral (
            select event.content_id as content_id
            union
            select canonical.content_id
            union
            select alias.content_id
            from raw.content_aliases as alias
            where alias.canonical_id = canonical.content_id
        ) as named
        inner join raw.contents as content on content.content_id = named.content_id
        cross join lateral (
            values (content.content_key::text), (case when content.match_title <> '' then content.match_key::text end)
        ) as name (name)
        where name.name is not null
    ) as digests,
    (select content.isrc from raw.contents as content where content.content_id = event.content_id) as isrc
from raw.listening_events as event
where
    event.user_id = %(user_id)s
    and event.source_id = %(source)s
    and event.played_at between %(oldest)s and %(newest)s

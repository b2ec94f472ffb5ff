-- "Unknown Artist" and the like are no names: archives that were imported before they were known to be none are brought to
-- what an import of today makes of them (catalogue/plays.py).
create temporary table placeholder_names on commit drop as
select
    contents.content_id,
    lower(btrim(contents.creator, ' <>[]()')) in ('unknown artist', 'unknown artists', 'unknown author') as is_creator,
    lower(btrim(contents.collection, ' <>[]()'))
    in ('unknown album', 'unknown show', 'unknown podcast', 'unknown audiobook') as is_collection,
    lower(btrim(contents.title, ' <>[]()'))
    in ('unknown track', 'unknown song', 'unknown title', 'unknown episode', 'unknown chapter', 'unknown') as is_title
from raw.contents as contents
where
    lower(contents.creator) like '%unknown a%'
    or lower(contents.collection) like '%unknown%'
    or lower(contents.title) like '%unknown%';

update raw.contents as contents
set creator = null, artist_id = null, album_id = null
from placeholder_names as placeholder
where contents.content_id = placeholder.content_id and placeholder.is_creator;

update raw.contents as contents
set collection = null, album_id = null
from placeholder_names as placeholder
where contents.content_id = placeholder.content_id and placeholder.is_collection;

update raw.contents as contents
set title = null, match_title = ''
from placeholder_names as placeholder
where
    contents.content_id = placeholder.content_id
    and placeholder.is_title
    and case
        when contents.kind_id = 1 then contents.creator is null
        else coalesce(contents.creator, contents.collection) is null
    end;

-- What neither a URI nor a name identifies any more is a play of unknown content, numbered behind those that are there.
create temporary table nameless_contents on commit drop as
select contents.content_id
from placeholder_names as placeholder
inner join raw.contents as contents on contents.content_id = placeholder.content_id
where coalesce(contents.uri, contents.title, contents.creator, contents.collection) is null;

update raw.listening_events as event
set content_id = null, occurrence = numbered.occurrence
from (
    select
        named.user_id,
        named.played_at,
        named.source_id,
        named.content_id,
        named.ms_played,
        named.occurrence as named_occurrence,
        coalesce(
            (
                select max(nameless.occurrence) + 1
                from raw.listening_events as nameless
                where
                    nameless.user_id = named.user_id
                    and nameless.played_at = named.played_at
                    and nameless.source_id = named.source_id
                    and nameless.content_id is null
                    and nameless.ms_played is not distinct from named.ms_played
            ),
            0
        )
        + row_number() over (
            partition by named.user_id, named.played_at, named.source_id, named.ms_played
            order by named.content_id, named.occurrence
        )
        - 1 as occurrence
    from raw.listening_events as named
    where named.content_id in (select content_id from nameless_contents)
) as numbered
where
    event.user_id = numbered.user_id
    and event.played_at = numbered.played_at
    and event.source_id = numbered.source_id
    and event.content_id = numbered.content_id
    and event.ms_played is not distinct from numbered.ms_played
    and event.occurrence = numbered.named_occurrence;

delete from raw.content_aliases
where
    content_id in (select content_id from nameless_contents)
    or canonical_id in (select content_id from nameless_contents);

delete from raw.top_items where content_id in (select content_id from nameless_contents);

delete from raw.contents where content_id in (select content_id from nameless_contents);

drop table placeholder_names, nameless_contents;

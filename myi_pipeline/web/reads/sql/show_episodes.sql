-- What this user played of a show or book, found by its name in the catalogue's index of trigrams; among the names that
-- are like it, the show's own.
select
    episode.entity_id as content_id,
    content.title,
    content.uri,
    heard.plays,
    heard.counted_plays,
    heard.ms_played,
    heard.unknown_plays,
    heard.first_played_at,
    heard.last_played_at
from marts.search_names as episode
inner join marts.dim_contents as content on content.content_id = episode.entity_id
cross join lateral (
    select
        count(*)::int as plays,
        (count(*) filter (where is_counted))::int as counted_plays,
        coalesce(sum(ms_played), 0)::bigint as ms_played,
        (count(*) filter (where ms_played is null))::int as unknown_plays,
        min(played_at) as first_played_at,
        max(played_at) as last_played_at
    from marts.fct_plays
    where user_id = %(user_id)s and content_id = episode.entity_id
    having count(*) > 0
    offset 0
) as heard
where
    episode.kind in ('episode', 'chapter')
    and episode.search_grams @> %(grams)s::text []
    and content.show_id = %(show_id)s
order by heard.last_played_at desc, episode.entity_id

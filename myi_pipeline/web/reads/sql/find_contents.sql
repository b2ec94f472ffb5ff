-- Tracks, episodes and chapters that this user played and whose names hold every word. One row without a number where more
-- names than `most` have the words.
{%- import 'search_match.sql' as search %}
with found as materialized (
    select entity_id
    from marts.search_names
    where
        kind <> 'artist'
        and (search_grams @> %(grams)s::text [] or search_grams @> %(joined_grams)s::text [])
        and {{ search.holds('search_text') }}
    limit %(most)s + 1
)

select null::int as content_id
where (select count(*) from found) > %(most)s
union all
(
    select found.entity_id
    from found
    where
        (select count(*) from found) <= %(most)s
        and exists (
            select from marts.fct_plays as play
            where play.user_id = %(user_id)s and play.content_id = found.entity_id
        )
    limit %(limit)s
)

-- Artists whom this user heard and whose name holds every word, the best match first. Found by the catalogue's index of
-- trigrams; where more names have them than `most`, the user's artists are looked at instead, the most heard first.
{%- import 'search_match.sql' as search %}
with found as materialized (
    select entity_id, search_text
    from marts.search_names
    where kind = 'artist' and (search_grams @> %(grams)s::text [] or search_grams @> %(joined_grams)s::text [])
    limit %(most)s + 1
),

heard as (
    select found.entity_id, found.search_text, sum.plays, sum.counted_plays, sum.ms_played
    from found
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_artists_stored
        where user_id = %(user_id)s and artist_id = found.entity_id and period_start = date '1970-01-01'
        offset 0
    ) as sum
    where (select count(*) from found) <= %(most)s and {{ search.holds('found.search_text') }}
    union all
    (
        select name.entity_id, name.search_text, sum.plays, sum.counted_plays, sum.ms_played
        from (
            select artist_id, plays, counted_plays, ms_played
            from marts.agg_period_artists_stored
            where user_id = %(user_id)s and period_start = date '1970-01-01'
            order by counted_plays desc, ms_played desc, artist_id
            limit %(most_walked)s
        ) as sum
        cross join lateral (
            select entity_id, search_text
            from marts.search_names
            where kind = 'artist' and entity_id = sum.artist_id
            offset 0
        ) as name
        where (select count(*) from found) > %(most)s and {{ search.holds('name.search_text') }}
        limit %(enough)s
    )
)

select
    'artist' as kind,
    entity_id as id,
    {{ search.match('search_text') }} as match,
    plays,
    counted_plays,
    ms_played
from heard
order by match, counted_plays desc, ms_played desc, id
limit %(limit)s

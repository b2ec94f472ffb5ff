-- What this user heard that has a part of each of the two longest words, the most heard first: among these are the names
-- that differ from what was typed by a slip. A word has up to three parts, of which a slip leaves one as it is; every pair
-- of them is one question to the index, because what is left to a filter is worked out again for each row.
{%- macro has_parts() -%}
    and (
        {%- for pair in range(9) %}
        {{ 'or ' if pair }}search_grams @> %(parts_{{ pair }})s::text []
        {%- endfor %}
    )
{%- endmacro %}
(
    select 'artist' as kind, found.entity_id as id, null::int as album_id, found.search_text, sum.*
    from (
        select entity_id, search_text
        from marts.search_names
        where kind = 'artist' {{ has_parts() }}
        limit %(most)s
    ) as found
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_artists_stored
        where user_id = %(user_id)s and artist_id = found.entity_id and period_start = date '1970-01-01'
        offset 0
    ) as sum
    order by counted_plays desc, ms_played desc, id
    limit %(enough)s
)
union all
(
    select 'track', found.*, sum.*
    from (
        select entity_id, album_id, search_text
        from marts.search_names
        where kind = 'track' {{ has_parts() }}
        limit %(most)s
    ) as found
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_tracks_stored
        where user_id = %(user_id)s and track_id = found.entity_id and period_start = date '1970-01-01'
        offset 0
    ) as sum
    order by counted_plays desc, ms_played desc, entity_id
    limit %(enough)s
)
union all
(
    select 'episode', found.entity_id, null, found.search_text, sum.*
    from (
        select entity_id, search_text
        from marts.search_names
        where kind in ('episode', 'chapter') {{ has_parts() }}
        limit %(most)s
    ) as found
    cross join lateral (
        {% include 'heard_of_found.sql' %}
    ) as sum
    order by counted_plays desc, ms_played desc, entity_id
    limit %(enough)s
)

-- Tracks, albums, episodes and shows that this user heard and whose names hold every word, the best match of each kind
-- first. An album is one of the tracks on it: words may be its artist's too.
{%- import 'search_match.sql' as search %}
with {{ search.heard_of('track') }},

albums as (
    select
        album_id,
        min({{ search.match('album') }}) as match
    from (
        select
            album_id,
            split_part(search_text, ' / ', 3) as album,
            split_part(search_text, ' / ', 2) || ' / ' || split_part(search_text, ' / ', 3) as names
        from heard
        where album_id is not null
        group by album_id, album, names
    ) as on_it
    where {{ search.holds('names') }} and {{ search.holds_any('album') }}
    group by album_id
),

spoken as materialized (
    select found.entity_id, found.search_text, sum.*
    from (
        select entity_id, search_text
        from marts.search_names
        where
            kind in ('episode', 'chapter')
            and (search_grams @> %(grams)s::text [] or search_grams @> %(joined_grams)s::text [])
        limit %(most)s
    ) as found
    cross join lateral (
        {% include 'heard_of_found.sql' %}
    ) as sum
    where {{ search.holds('found.search_text') }}
)

{%- if by == 'recording' %}
(
    -- A song once, as the track that fits best; what was heard of it is that of all its tracks.
    select
        'track' as kind,
        song.track_id as id,
        song.match,
        sum.plays,
        sum.counted_plays,
        sum.ms_played
    from (
        select distinct on (recording_id) recording_id, track_id, match
        from (
            select
                {% include 'recording_of_track.sql' %} as recording_id,
                heard.track_id,
                heard.counted_plays,
                heard.ms_played,
                {{ search.match("split_part(heard.search_text, ' / ', 1)") }} as match
            from (select *, entity_id as track_id from heard) as heard
        ) as found_track
        order by recording_id, match, counted_plays desc, ms_played desc, track_id
    ) as song
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_recordings_stored
        where user_id = %(user_id)s and recording_id = song.recording_id and period_start = date '1970-01-01'
        offset 0
    ) as sum
    order by song.match, sum.counted_plays desc, sum.ms_played desc, id
    limit %(limit)s
)
{%- else %}
(
    select
        'track' as kind,
        entity_id as id,
        {{ search.match("split_part(search_text, ' / ', 1)") }} as match,
        plays,
        counted_plays,
        ms_played
    from heard
    order by match, counted_plays desc, ms_played desc, id
    limit %(limit)s
)
{%- endif %}
union all
(
    select 'album', albums.album_id, albums.match, sum.plays, sum.counted_plays, sum.ms_played
    from albums
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_albums_stored
        where user_id = %(user_id)s and album_id = albums.album_id and period_start = date '1970-01-01'
        offset 0
    ) as sum
    order by albums.match, sum.counted_plays desc, sum.ms_played desc, albums.album_id
    limit %(limit)s
)
union all
(
    select
        'episode',
        entity_id,
        {{ search.match("split_part(search_text, ' / ', 1)") }} as match,
        plays,
        counted_plays,
        ms_played
    from spoken
    order by match, counted_plays desc, ms_played desc, entity_id
    limit %(limit)s
)
union all
(
    -- A show goes by the first of its episodes.
    select
        'show',
        min(entity_id),
        {{ search.match('show') }} as match,
        sum(plays)::int as plays,
        sum(counted_plays)::int as counted_plays,
        sum(ms_played)::bigint as ms_played
    from (
        select *, split_part(search_text, ' / ', 3) as show
        from spoken
    ) as of_show
    where {{ search.holds('show') }}
    group by show
    order by match, counted_plays desc, ms_played desc, show
    limit %(limit)s
)

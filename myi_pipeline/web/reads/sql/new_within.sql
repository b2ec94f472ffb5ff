-- The artists first heard in a span, most heard in it first, and how many there are.
select
    heard.artist_id,
    artist.name,
    heard.counted_plays,
    heard.first_local_date,
    heard.found
from (
    select
        first.entity_id as artist_id,
        first.first_local_date,
        within.counted_plays,
        within.ms_played,
        (count(*) over ())::int as found
    from (
        {% include 'artists_first_heard.sql' %}
    ) as first
    cross join lateral (
        select
            (count(*) filter (where is_counted))::int as counted_plays,
            coalesce(sum(ms_played), 0)::bigint as ms_played
        from marts.fct_plays
        where
            user_id = %(user_id)s
            and artist_id = first.entity_id
            and played_at >= %(from_at)s
            and played_at < %(to_at)s
            and kind = 'track'
    ) as within
    order by within.counted_plays desc, within.ms_played desc, first.entity_id
    limit %(limit)s
) as heard
left join marts.dim_artists as artist on artist.artist_id = heard.artist_id
order by heard.counted_plays desc, heard.artist_id

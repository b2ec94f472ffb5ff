-- Artists first heard in a span that stayed, most heard since first.
select
    heard.artist_id,
    artist.name,
    artist.picture_sha256 as picture,
    heard.plays,
    heard.counted_plays,
    heard.ms_played,
    heard.first_local_date,
    heard.last_played_at
from (
    select first.first_local_date, since.*
    from (
        {% include 'artists_first_heard.sql' %}
    ) as first
    cross join lateral (
        select artist_id, plays, counted_plays, ms_played, last_played_at
        from marts.agg_period_artists_stored
        where user_id = %(user_id)s and artist_id = first.entity_id and period_start = date '1970-01-01'
        offset 0
    ) as since
    where since.counted_plays >= %(at_least)s and since.last_played_at >= first.first_played_at + %(stayed)s
    order by since.counted_plays desc, since.ms_played desc, since.artist_id
    limit %(limit)s
) as heard
left join marts.dim_artists as artist on artist.artist_id = heard.artist_id
order by heard.counted_plays desc, heard.ms_played desc, heard.artist_id

-- A page of plays, newest first. Narrowed to a content or an artist, it is read in the order of that one's index; an album
-- has no index of its own, so the newest of each of its tracks are looked up.
select
    {% include 'columns_of_a_play.sql' %}
from (
    {%- if 'album_id' in narrowed_by %}
    select play.*
    from marts.dim_tracks as track
    cross join lateral (
        {% with content = 'track.track_id' %}{% include 'newest_plays.sql' %}{% endwith %}
    ) as play
    where track.album_id = %(album_id)s
    order by play.played_at desc, play.play_id desc
    limit %(limit)s
    {%- else %}
    {% include 'newest_plays.sql' %}
    {%- endif %}
) as page
left join marts.dim_contents as content on content.content_id = page.content_id
order by page.played_at desc, page.play_id desc

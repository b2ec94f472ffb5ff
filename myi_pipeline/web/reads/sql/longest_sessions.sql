-- The longest sessions that ended in a span, each with the songs, or tracks, that it had most of: a row for each, or one
-- without.
select
    session.session_id::text as session_id,
    session.started_at,
    session.ended_at,
    session.local_date,
    session.plays,
    session.counted_plays,
    session.ms_played,
    heard.track_id,
    track.name,
    track.artist_id,
    track.artist_name,
    heard.times
from (
    select session_id, started_at, ended_at, local_date, plays, counted_plays, ms_played
    from marts.fct_sessions
    where user_id = %(user_id)s and ended_at >= %(from_at)s and ended_at < %(to_at)s
    order by ended_at - started_at desc, ended_at desc
    limit %(limit)s
) as session
left join lateral (
    {%- set plays %}
            select content_id, ms_played
            from marts.fct_plays
            where
                user_id = %(user_id)s
                and played_at >= session.started_at
                and played_at <= session.ended_at
                and kind = 'track'
                and is_counted
                and content_id is not null
            offset 0
        {% endset %}
    {% include 'songs_of_plays.sql' %}
    limit %(tracks)s
) as heard on true
left join marts.dim_tracks as track on track.track_id = heard.track_id
order by session.ended_at - session.started_at desc, session.ended_at desc, heard.place

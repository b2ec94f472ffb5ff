-- What was heard on each of some days, and the track and the artist that it had most of. A day's plays lie between its first
-- and its last one.
select
    day.local_date,
    day.plays,
    day.counted_plays,
    day.ms_played,
    top_track.track_id,
    track.name as track_name,
    track.album_id,
    album.picture_sha256 as picture,
    top_track.times as track_times,
    top_artist.artist_id,
    artist.name as artist_name,
    top_artist.times as artist_times
from unnest(%(days)s::date[]) as asked (local_date)
cross join lateral (
    select local_date, plays, counted_plays, ms_played, first_played_at, last_played_at
    from marts.agg_day_user
    where user_id = %(user_id)s and local_date = asked.local_date
    offset 0
) as day
{%- for entity, id in [('track', 'content_id'), ('artist', 'artist_id')] %}
left join lateral (
    select {{ id }} as {{ entity }}_id, count(*)::int as times
    from (
        select {{ id }}, local_date, ms_played
        from marts.fct_plays
        where
            user_id = %(user_id)s
            and played_at >= day.first_played_at
            and played_at <= day.last_played_at
            and local_date = day.local_date
            and kind = 'track'
            and is_counted
            and {{ id }} is not null
        offset 0
    ) as play
    group by {{ id }}
    order by count(*) desc, sum(ms_played) desc nulls last, {{ id }}
    limit 1
) as top_{{ entity }} on true
{%- endfor %}
left join marts.dim_tracks as track on track.track_id = top_track.track_id
left join marts.dim_albums as album on album.album_id = track.album_id
left join marts.dim_artists as artist on artist.artist_id = top_artist.artist_id
order by day.local_date desc

-- What was heard of one track, artist or album: in all, by year, by month. One of the three branches runs.
select period, period_start, plays, counted_plays, ms_played, first_played_at, last_played_at
from marts.agg_period_tracks
where %(entity)s = 'track' and user_id = %(user_id)s and track_id = %(id)s and period in ('all', 'year', 'month')
union all
select period, period_start, plays, counted_plays, ms_played, first_played_at, last_played_at
from marts.agg_period_artists
where %(entity)s = 'artist' and user_id = %(user_id)s and artist_id = %(id)s and period in ('all', 'year', 'month')
union all
select period, period_start, plays, counted_plays, ms_played, first_played_at, last_played_at
from marts.agg_period_albums
where %(entity)s = 'album' and user_id = %(user_id)s and album_id = %(id)s and period in ('all', 'year', 'month')
order by period, period_start

select heard.month_start, heard.contents, heard.plays, heard.counted_plays, heard.ms_played
from marts.agg_playlist_plays as heard
where heard.user_id = %(user_id)s and heard.playlist_id = %(playlist_id)s
order by heard.month_start

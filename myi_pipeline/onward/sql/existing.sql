-- The ids of all of one user's plays in this span, including hidden ones.
select play.play_id
from marts.fct_plays_stored as play
where play.user_id = %(user_id)s and play.played_at >= %(since)s and play.played_at < %(until)s

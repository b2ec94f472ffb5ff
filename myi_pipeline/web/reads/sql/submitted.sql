-- Plays that a scrobbler stands for, newest first. The window bounds what is read: of the sources only these are shown.
select
    play.played_at,
    content.title,
    content.creator,
    content.collection,
    content.uri
from marts.fct_plays as play
left join marts.dim_contents as content on content.content_id = play.content_id
where
    play.user_id = %(user_id)s
    and play.source = 'submitted_listens'
    and play.played_at > %(after_at)s
    and play.played_at < %(before_at)s
order by play.played_at desc, play.play_id desc
limit %(limit)s

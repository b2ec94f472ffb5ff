-- Rows that may differ because something has changed since the run froze the ledger. Read after the second build:
-- anything that build saw beyond the run has a ledger row by then.
create temporary table left_out_contents as
select content_id from ops.changed_contents
union
select content_id from ops.changed_facts
union
select a.canonical_id
from ops.changed_contents as c
inner join raw.content_aliases as a on a.content_id = c.content_id;

create temporary table left_out_users as
select user_id from ops.changed_days
union
select user_id from ops.changed_users
union
select user_id from ops.changed_playlists
union
select p.user_id
from raw.playlists as p
inner join raw.playlist_items as i on i.playlist_id = p.playlist_id
inner join left_out_contents as c on c.content_id = i.content_id
union
select p.user_id
from marts.fct_plays_stored as p
inner join left_out_contents as c on c.content_id = p.content_id
union
select p.user_id
from marts_verify.fct_plays_stored as p
inner join left_out_contents as c on c.content_id = p.content_id
union
select p.user_id
from intermediate.int_plays__corrected as p
inner join left_out_contents as c on c.content_id = p.content_id
union
select p.user_id
from intermediate.int_plays__candidates as p
inner join left_out_contents as c on c.content_id = p.content_id
union
select p.user_id
from intermediate.int_plays__matched as p
inner join left_out_contents as c on c.content_id = p.content_id
union
select p.user_id
from intermediate.int_plays__polled_again as p
inner join left_out_contents as c on c.content_id = p.content_id
union
select t.user_id
from raw.top_items as t
inner join left_out_contents as c on c.content_id = t.content_id;

-- Whether a name counts as an artist depends on everybody's plays.
create temporary table left_out_artists as
select a.artist_id
from raw.artists as a
where exists (select from left_out_users) or exists (select from left_out_contents);

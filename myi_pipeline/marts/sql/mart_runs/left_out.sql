-- Whose rows may differ because something has changed since the run froze the ledger. Read after the second build:
-- whatever that build saw beyond the run has its ledger row by then.
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

-- Who is an artist follows from the plays of all.
create temporary table left_out_artists as
select a.artist_id
from raw.artists as a
where exists (select from left_out_users) or exists (select from left_out_contents);

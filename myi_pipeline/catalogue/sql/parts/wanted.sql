-- What the user's rows refer to. The temporary tables were created before the transaction, which writes nothing else.
insert into wanted_contents (content_id)
select e.content_id
from raw.listening_events as e
where e.user_id = %(user_id)s and e.content_id is not null
union
select t.content_id
from raw.top_items as t
where t.user_id = %(user_id)s and t.content_id is not null
union
select i.content_id
from raw.playlists as p
inner join raw.playlist_items as i on i.playlist_id = p.playlist_id
where p.user_id = %(user_id)s and i.content_id is not null
union
select d.content_id
from app.recording_decisions as d
where d.user_id = %(user_id)s
union
select d.other_id
from app.recording_decisions as d
where d.user_id = %(user_id)s and d.other_id is not null
union
select m.content_id
from app.match_decisions as m
inner join raw.contents as c on c.content_id = m.content_id
where m.user_id = %(user_id)s
union
select c.to_content_id
from app.corrections as c
where c.user_id = %(user_id)s and c.to_content_id is not null;

-- Contents that these are aliases of.
insert into wanted_contents (content_id)
select a.canonical_id
from wanted_contents as w
inner join raw.content_aliases as a on a.content_id = w.content_id
on conflict do nothing;

-- The track that gives its names to their recording, which marts show.
insert into wanted_contents (content_id)
select r.recording_id
from wanted_contents as w
inner join ops.content_recordings as r on r.content_id = w.content_id
inner join raw.contents as c on c.content_id = r.recording_id
on conflict do nothing;

insert into wanted_contexts (context_id)
select distinct e.context_id
from raw.listening_events as e
where e.user_id = %(user_id)s and e.context_id is not null;

insert into wanted_albums (album_id)
select distinct c.album_id
from wanted_contents as w
inner join raw.contents as c on c.content_id = w.content_id
where c.album_id is not null;

insert into wanted_artists (artist_id)
select c.artist_id
from wanted_contents as w
inner join raw.contents as c on c.content_id = w.content_id
where c.artist_id is not null
union
select b.artist_id
from wanted_albums as w
inner join raw.albums as b on b.album_id = w.album_id
union
select t.artist_id
from raw.top_items as t
where t.user_id = %(user_id)s and t.artist_id is not null
union
select a.artist_id
from app.corrections as c
inner join raw.artists as a on a.artist_id = c.artist_id
where c.user_id = %(user_id)s;

analyze wanted_contents, wanted_artists, wanted_albums, wanted_contexts;

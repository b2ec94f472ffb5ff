-- Whom a list credits with a track. The catalogue names one artist, and archives that of the album: of a compilation it
-- is not the track's.
alter table raw.playlist_items add column artists text[];
comment on column raw.playlist_items.artists is
'The track''s artists as the list told them, in order; NULL where it told none. What has no content has them in original.';

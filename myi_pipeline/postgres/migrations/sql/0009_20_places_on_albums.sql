-- How many tracks an album has, when it was released, and where on it a track stands: Spotify's answers say so, archives
-- do not. None of it moves a play or is in a stored mart, so the change ledger need not know of it.
alter table raw.albums
add column total_tracks int check (total_tracks > 0),
add column release_year smallint;
comment on column raw.albums.total_tracks is 'Tracks on all its discs; NULL while no answer has said.';
comment on column raw.albums.release_year is 'Of this edition; NULL while no answer has said.';

alter table raw.contents
add column disc_number smallint check (disc_number > 0),
add column track_number smallint check (track_number > 0);
comment on column raw.contents.track_number is 'Its place on its disc; NULL while no answer has said.';

create index if not exists musicbrainz_artist_id on load.musicbrainz_artist (id);
create index if not exists musicbrainz_artist_gid on load.musicbrainz_artist (gid);
create index if not exists musicbrainz_artist_credit_name_credit
on load.musicbrainz_artist_credit_name (artist_credit);
create index if not exists musicbrainz_credited_folded on load.musicbrainz_credited (folded);
create index if not exists musicbrainz_isrc_isrc on load.musicbrainz_isrc (isrc);
create index if not exists musicbrainz_medium_id on load.musicbrainz_medium (id);
create index if not exists musicbrainz_redirect_gid on load.musicbrainz_recording_gid_redirect (gid);
create index if not exists musicbrainz_recording_id on load.musicbrainz_recording (id);
create index if not exists musicbrainz_recording_gid on load.musicbrainz_recording (gid);
create index if not exists musicbrainz_recording_folded on load.musicbrainz_recording (folded);
create index if not exists musicbrainz_release_id on load.musicbrainz_release (id);
create index if not exists musicbrainz_release_date_release on load.musicbrainz_release_date (release);
create index if not exists musicbrainz_track_recording on load.musicbrainz_track (recording);
create index if not exists musicbrainz_tag_id on load.musicbrainz_tag (id);
create index if not exists musicbrainz_artist_tag_artist on load.musicbrainz_artist_tag (artist);
create index if not exists musicbrainz_recording_tag_recording on load.musicbrainz_recording_tag (recording);
analyze
load.musicbrainz_artist, load.musicbrainz_artist_credit_name, load.musicbrainz_credited, load.musicbrainz_genre,
load.musicbrainz_isrc, load.musicbrainz_medium, load.musicbrainz_recording_gid_redirect, load.musicbrainz_recording,
load.musicbrainz_release, load.musicbrainz_release_date, load.musicbrainz_track, load.musicbrainz_tag,
load.musicbrainz_artist_tag, load.musicbrainz_recording_tag;

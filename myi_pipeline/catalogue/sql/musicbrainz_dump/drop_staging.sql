drop table if exists
load.musicbrainz_notes, load.musicbrainz_artist, load.musicbrainz_artist_credit_name, load.musicbrainz_credited,
load.musicbrainz_genre, load.musicbrainz_isrc, load.musicbrainz_medium, load.musicbrainz_recording_gid_redirect,
load.musicbrainz_recording, load.musicbrainz_release, load.musicbrainz_release_date, load.musicbrainz_track,
load.musicbrainz_tag, load.musicbrainz_artist_tag, load.musicbrainz_recording_tag

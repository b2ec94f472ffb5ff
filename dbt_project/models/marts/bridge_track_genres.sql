-- For each track, the genres with the most votes by editors of MusicBrainz: those of its recording or, if that has
-- none, those of its artists together.
{{ config(
    meta={'slices': 'run_tracks_with_genres', 'slice_keys': ['track_id'], 'order_by': 'track_id, place'},
    indexes=[{'columns': ['track_id', 'genre_id'], 'unique': true}, {'columns': ['genre_id']}],
) }}

with contents as (
    select * from {{ ref('stg_raw__contents') }}
),

genres as (
    select * from {{ ref('stg_raw__musicbrainz_tags') }} where is_genre
),

votes as (
    select * from {{ ref('stg_raw__musicbrainz_votes') }} where votes > 0
),

tracks as (
    select
        contents.content_id as track_id,
        found.recording_mbid
    from contents
    {% if is_incremental() %}
    inner join {{ run_tracks() }} as run_track on run_track.track_id = contents.content_id
    {% endif %}
    inner join {{ ref('stg_raw__found_recordings') }} as found on found.content_id = contents.content_id
    where contents.canonical_id = contents.content_id and contents.kind = 'track'
),

own as (
    select tracks.track_id, votes.tag_id as genre_id, votes.votes, 'recording' as told_by
    from tracks
    inner join votes on votes.entity_mbid = tracks.recording_mbid and votes.entity_kind = 'recording'
    inner join genres on genres.tag_id = votes.tag_id
),

of_artists as (
    select tracks.track_id, votes.tag_id as genre_id, sum(votes.votes)::int as votes, 'artist' as told_by
    from tracks
    inner join (
        select distinct recording_mbid, artist_mbid from {{ ref('stg_raw__musicbrainz_credits') }}
    ) as credit on credit.recording_mbid = tracks.recording_mbid
    inner join votes on votes.entity_mbid = credit.artist_mbid and votes.entity_kind = 'artist'
    inner join genres on genres.tag_id = votes.tag_id
    where not exists (select from own where own.track_id = tracks.track_id)
    group by tracks.track_id, votes.tag_id
),

ranked as (
    select
        *,
        row_number() over (partition by track_id order by votes desc, genre_id)::smallint as place
    from (
        select * from own
        union all
        select * from of_artists
    ) as every_genre
),

chosen as (
    select
        *,
        count(*) over (partition by track_id) as genres
    from ranked
    where place <= {{ var('genres_of_a_track') }}
)

select
    track_id,
    genre_id,
    place,
    votes,
    told_by,
    -- Whole numbers add up exactly: a track with one genre has six sixths of it, one with three has two sixths of each.
    (6 / genres)::smallint as sixths
from chosen

-- A view: it is read for one artist at a time. An artist's counterpart at MusicBrainz is the one that comes first in
-- the credits of most of its tracks.
{{ config(materialized='view') }}

select
    artist.artist_id,
    vote.tag_id as genre_id,
    vote.place,
    vote.votes,
    artist.artist_mbid
from (
    select distinct on (artist_id) artist_id, artist_mbid
    from (
        select
            content.artist_id,
            credit.artist_mbid,
            count(*) as tracks
        from {{ ref('stg_raw__contents') }} as content
        inner join {{ ref('stg_raw__found_recordings') }} as found on found.content_id = content.content_id
        inner join {{ ref('stg_raw__musicbrainz_credits') }} as credit
            on credit.recording_mbid = found.recording_mbid and credit.place = 1
        where content.artist_id is not null
        group by content.artist_id, credit.artist_mbid
    ) as counted
    order by artist_id, tracks desc, artist_mbid
) as artist
cross join lateral (
    select
        votes.tag_id,
        votes.votes,
        row_number() over (order by votes.votes desc, votes.tag_id)::smallint as place
    from {{ ref('stg_raw__musicbrainz_votes') }} as votes
    inner join {{ ref('stg_raw__musicbrainz_tags') }} as genre on genre.tag_id = votes.tag_id and genre.is_genre
    where votes.entity_kind = 'artist' and votes.entity_mbid = artist.artist_mbid and votes.votes > 0
    order by votes.votes desc, votes.tag_id
    limit {{ var('genres_of_an_artist') }}
) as vote

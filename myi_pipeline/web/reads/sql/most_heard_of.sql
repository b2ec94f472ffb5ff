-- What was heard most of an artist (tracks and albums) or of an album (tracks). Its tracks are found by the catalogue's
-- index, and of each the user's row by its key: offset 0 keeps it at that. An artist's albums are counted by that artist's
-- tracks alone: a sampler has others too.
with heard as materialized (
    select
        track.track_id,
        track.album_id,
        track.name,
        track.artist_id,
        track.artist_name,
        track.recording_id,
        sum.plays,
        sum.counted_plays,
        sum.ms_played
    from (
        select track_id, album_id, name, artist_id, artist_name, recording_id
        from marts.dim_tracks
        where %(entity)s = 'artist' and artist_id = %(id)s
        union all
        select track_id, album_id, name, artist_id, artist_name, recording_id
        from marts.dim_tracks
        where %(entity)s = 'album' and album_id = %(id)s
    ) as track
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_tracks_stored
        where user_id = %(user_id)s and track_id = track.track_id and period_start = date '1970-01-01'
        offset 0
    ) as sum
)

select
    *,
    (
        row_number() over (
            partition by kind
            order by counted_plays desc, ms_played desc, track_id, album_id
        )
    )::int as rank
from (
    (
        select
            'track' as kind,
            of_track.track_id,
            of_track.album_id,
            of_track.name,
            of_track.artist_id,
            of_track.artist_name,
            of_track.plays,
            of_track.counted_plays,
            of_track.ms_played,
            album.picture_sha256 as picture
        from (
            {%- if by == 'recording' %}
            -- Of each recording the track that was heard most stands for what is on this page.
            select
                {%- for column in ('track_id', 'album_id', 'name', 'artist_id', 'artist_name') %}
                (array_agg({{ column }} order by place))[1] as {{ column }},
                {%- endfor %}
                sum(plays)::int as plays,
                sum(counted_plays)::int as counted_plays,
                sum(ms_played)::bigint as ms_played
            from (
                select
                    heard.*,
                    coalesce(decided.recording_id, heard.recording_id) as known_as,
                    -- Sorted once, and not for each of the columns.
                    row_number() over (order by heard.counted_plays desc, heard.ms_played desc, heard.track_id) as place
                from heard
                left join (
                    -- A person's decisions are few: read once, not looked up for each track.
                    select track_id, recording_id
                    from marts.bridge_user_recordings
                    where user_id = %(user_id)s
                    offset 0
                ) as decided on decided.track_id = heard.track_id
            ) as placed
            group by known_as
            order by 7 desc, 8 desc, 1
            {%- else %}
            select *
            from heard
            order by counted_plays desc, ms_played desc, track_id
            {%- endif %}
            limit %(limit)s
        ) as of_track
        left join marts.dim_albums as album on album.album_id = of_track.album_id
    )
    union all
    (
        select
            'album',
            null,
            of_album.album_id,
            album.name,
            album.artist_id,
            artist.name,
            of_album.plays,
            of_album.counted_plays,
            of_album.ms_played,
            album.picture_sha256
        from (
            select
                album_id,
                sum(plays)::int as plays,
                sum(counted_plays)::int as counted_plays,
                sum(ms_played)::bigint as ms_played
            from heard
            where %(entity)s = 'artist' and album_id is not null
            group by album_id
            order by 3 desc, 4 desc, album_id
            limit %(most_albums)s
        ) as of_album
        left join marts.dim_albums as album on album.album_id = of_album.album_id
        left join marts.dim_artists as artist on artist.artist_id = album.artist_id
        order by of_album.counted_plays desc, of_album.ms_played desc, of_album.album_id
    )
) as most_heard
order by kind, counted_plays desc, ms_played desc, track_id, album_id

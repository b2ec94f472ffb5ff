-- When a track is deleted because nobody has plays of it any more, MusicBrainz' data about it are deleted too, unless
-- another track is the same recording: they would reveal what somebody listened to. Which recording the track belonged
-- to is left to the next mart run, which deletes it once it knows which periods and which other tracks that concerns.
create function ops.forget_found() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    mbids uuid [];
    credited uuid [];
begin
    with gone as (
        delete from raw.found_recordings as f
        using old_rows as o
        where f.content_id = o.content_id
        returning f.recording_mbid
    )
    select array_agg(named.mbid) into mbids
    from (
        select g.recording_mbid as mbid from gone as g
        union
        select o.recording_mbid from old_rows as o where o.recording_mbid is not null
    ) as named;
    delete from ops.musicbrainz_queue as q using old_rows as o where q.content_id = o.content_id;
    if mbids is null then
        return null;
    end if;

    select array_agg(r.recording_mbid) into mbids
    from raw.musicbrainz_recordings as r
    where
        r.recording_mbid = any(mbids)
        and not exists (select from raw.found_recordings as f where f.recording_mbid = r.recording_mbid)
        and not exists (select from raw.contents as c where c.recording_mbid = r.recording_mbid);
    if mbids is null then
        return null;
    end if;
    select array_agg(distinct c.artist_mbid) into credited
    from raw.musicbrainz_credits as c
    where c.recording_mbid = any(mbids);
    delete from raw.musicbrainz_votes as v where v.entity_kind = 'recording' and v.entity_mbid = any(mbids);
    delete from raw.musicbrainz_recordings as r where r.recording_mbid = any(mbids);

    with gone as (
        delete from raw.musicbrainz_artists as a
        where
            a.artist_mbid = any(credited)
            and not exists (select from raw.musicbrainz_credits as c where c.artist_mbid = a.artist_mbid)
        returning a.artist_mbid
    ),

    asked as (
        delete from ops.musicbrainz_queue as q using gone as g where q.artist_mbid = g.artist_mbid
    )

    delete from raw.musicbrainz_votes as v
    using gone as g
    where v.entity_kind = 'artist' and v.entity_mbid = g.artist_mbid;
    return null;
end $$;
revoke all on function ops.forget_found() from public;
create trigger forget_found after delete on raw.contents
referencing old table as old_rows for each statement execute function ops.forget_found();

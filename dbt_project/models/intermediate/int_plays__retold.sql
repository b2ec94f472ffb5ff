{{ config(
    pre_hook="{{ hash_joins_of_many_days() }}",
    meta={'slices': 'run_days', 'order_by': 'user_id, played_at, event_id'},
    indexes=[{'columns': ['user_id', 'played_at', 'event_id'], 'unique': true}],
) }}

-- Two events of one kind of archive with the same moment and length may be one play, judged by their names: these are
-- links, the surest first. They are applied one after another, unless the two plays exclude each other: one archive has
-- an event of each, or two of their events differ only in their place among equal rows of one archive.
{%- set most = var('most_of_one_moment') %}
{%- set place = 'knows, uri collate "C", title collate "C", creator collate "C", content_id, occurrence' %}

with recursive events as not materialized (
    select event.*
    from {{ in_run_days(ref('stg_raw__listening_events')) }} as event
    where event.source_id {{ sources_that("arrives = 'archive'") }}
),

-- From here on, every join is with at most one row: right after a first import the planner does not know the tables'
-- sizes, and a join of moments took a minute for 10,000 of them.
shared as (
    select
        *,
        count(*) over moment as events_of_moment,
        min(batch_id) over moment as first_batch_id,
        max(batch_id) over moment as last_batch_id
    from events
    window moment as (partition by user_id, source_id, played_at, ms_played)
),

told as (
    select
        event.*,
        archive.archives,
        contents.song,
        contents.kind,
        contents.uri,
        contents.title,
        contents.creator,
        contents.match_title,
        {{ artist_or_show('contents') }} as artist_or_show,
        sources.precision_ms < 60000 as tells_seconds,
        -- People correct names at a service; a device's log stays as it was written.
        sources.precision_ms < 60000 and sources.source like '%\_export' as may_be_edited,
        -- Scrobblers correct names long afterwards.
        case when sources.clock = 'start' then {{ coarse_title("coalesce(nullif(contents.match_title, ''), contents.title)") }} end as coarse_title,
        -- How well an event knows what was heard: an episode or a chapter, a track (until 2024 perhaps an episode),
        -- nothing.
        case when contents.song is null then 3 when contents.kind = 'track' then 2 else 1 end as knows,
        -- When there are too many events, compare only those of the same song.
        case when event.events_of_moment > {{ most }} then contents.song end as song_in_crowd
    from shared as event
    inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = event.source_id
    left join {{ ref('stg_raw__contents') }} as contents on contents.content_id = event.content_id
    cross join lateral (
        select {{ archives_of_event('event', 'holder') }} as archives, coalesce(max(holder.export_no), 0) as last_export_no
        from {{ ref('stg_raw__event_holders') }} as holder
        where
            holder.user_id = event.user_id
            and holder.played_at = event.played_at
            and holder.event_id = event.event_id
    ) as archive
    where
        event.events_of_moment > 1
        and (event.first_batch_id <> event.last_batch_id or archive.last_export_no > 0)
),

-- In an order that does not depend on which archive came first.
groups as (
    select
        user_id,
        source_id,
        played_at,
        ms_played,
        array_agg(event_id order by {{ place }}) as event_ids,
        array_agg(content_id order by {{ place }}) as content_ids,
        array_agg(archives::text order by {{ place }}) as archives,
        array_agg(knows order by {{ place }}) as knows,
        array_agg(song order by {{ place }}) as songs,
        array_agg(kind order by {{ place }}) as kinds,
        array_agg(match_title order by {{ place }}) as titles,
        array_agg(artist_or_show order by {{ place }}) as artists,
        array_agg(coarse_title order by {{ place }}) as coarse_titles,
        bool_and(tells_seconds) as tells_seconds,
        bool_and(may_be_edited) as may_be_edited
    from told
    group by user_id, source_id, played_at, ms_played, song_in_crowd
    having count(*) between 2 and {{ most }}
),

linked as (
    select groups.*, pairs.*
    from groups
    cross join lateral (
        select
            array_agg(earlier order by doubt, earlier, later) filter (where doubt is not null) as earlier_places,
            array_agg(later order by doubt, earlier, later) filter (where doubt is not null) as later_places,
            array_agg(earlier) filter (where is_excluded) as excluded_earlier,
            array_agg(later) filter (where is_excluded) as excluded_later
        from (
            select
                earlier,
                later,
                groups.archives[earlier]::bigint [] && groups.archives[later]::bigint []
                or groups.content_ids[earlier] is not distinct from groups.content_ids[later] as is_excluded,
                case
                    when groups.content_ids[earlier] is not distinct from groups.content_ids[later] then null
                    when groups.songs[earlier] = groups.songs[later] then 1
                    when groups.coarse_titles[earlier] = groups.coarse_titles[later] then 2
                    -- A removed track. Account data has minutes, each with many skips of 0 ms.
                    when
                        groups.knows[earlier] < 3 and groups.knows[later] = 3
                        and (groups.tells_seconds or groups.ms_played > 0) then 5
                    -- Renamed between two exports: an exporter never splits the scrobbles of one second between
                    -- archives.
                    when groups.may_be_edited and groups.knows[later] < 3 then 6
                    when groups.tells_seconds or groups.knows[later] = 3 then null
                    -- Until 2024, account data listed episodes as tracks, with the show as artist.
                    when
                        groups.knows[earlier] = 1 and groups.knows[later] = 2
                        and groups.titles[earlier] = groups.titles[later] and groups.titles[later] <> '' then 2
                    when
                        groups.artists[earlier] = ''
                        or groups.artists[earlier] is distinct from groups.artists[later] then null
                    when groups.knows[earlier] = 1 and groups.knows[later] = 2 and groups.ms_played > 0 then 3
                    -- An edited title.
                    when
                        groups.kinds[earlier] = groups.kinds[later]
                        and groups.ms_played >= {{ var('same_artist_ms') }} then 4
                end as doubt
            from generate_subscripts(groups.event_ids, 1) as earlier
            cross join generate_subscripts(groups.event_ids, 1) as later
            where earlier < later
        ) as compared
    ) as pairs
    where pairs.earlier_places is not null
),

-- The play of each event, named by the place of the event that represents it. An event matched to a better-informed one
-- does not pull others along: a removed track may match either of two plays but must not merge them.
united as (
    select *, 1 as link, array(select generate_subscripts(linked.event_ids, 1)) as plays
    from linked
    union all
    select
        united.user_id,
        united.source_id,
        united.played_at,
        united.ms_played,
        united.event_ids,
        united.content_ids,
        united.archives,
        united.knows,
        united.songs,
        united.kinds,
        united.titles,
        united.artists,
        united.coarse_titles,
        united.tells_seconds,
        united.may_be_edited,
        united.earlier_places,
        united.later_places,
        united.excluded_earlier,
        united.excluded_later,
        united.link + 1,
        case
            when united.knows[step.later_play] <> united.knows[step.later_place] then united.plays
            when exists (
                select
                from unnest(united.excluded_earlier, united.excluded_later) as pair (earlier_place, later_place)
                where
                    (united.plays[pair.earlier_place], united.plays[pair.later_place])
                    in ((step.earlier_play, step.later_play), (step.later_play, step.earlier_play))
            ) then united.plays
            else array_replace(
                united.plays, greatest(step.earlier_play, step.later_play), least(step.earlier_play, step.later_play)
            )
        end
    from united
    cross join lateral (
        select
            united.later_places[united.link] as later_place,
            united.plays[united.later_places[united.link]] as later_play,
            united.plays[united.earlier_places[united.link]] as earlier_play
    ) as step
    where united.link <= cardinality(united.later_places)
)

select
    united.user_id,
    united.played_at,
    event.event_id,
    event.content_id,
    united.source_id,
    united.event_ids[event.play] as play_id,
    case
        when event.knows = 3 then 'unknown_content'
        when event.knows = 2 and united.knows[event.play] = 1 then 'confirms_by_minute_as_track'
        else 'told_by_another_archive'
    end as decision
from united
cross join lateral unnest(united.event_ids, united.content_ids, united.knows, united.plays)
    with ordinality as event (event_id, content_id, knows, play, place)
where united.link > cardinality(united.later_places) and event.place <> event.play

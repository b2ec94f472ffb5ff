-- Numbers the rows of one archive that have the same unique key. This covers the whole staged archive in a fixed order,
-- so that the numbers depend neither on the order of files nor on chunks. Rows that are equal in all stored fields are
-- one play, except where times are cut to minutes, as in account data: there two equal rows are two plays.
-- Rows of several exports in one archive (`export_nos`, by the file's number) are numbered per export, so that a play
-- repeated in the second export counts once, as if that were an archive of its own.
-- A row is shared if a row with another content, or with none, has the same time and length. There may be many skips of
-- 0 ms in one second; these are shared only with rows that have the same title or no content.
-- Restricting the comparison to times that occur more than once, which only takes one narrow column, leaves few rows.
insert into {load}_repeated_events (row_id, occurrence, is_identical, is_shared, export_no)
select
    row_id,
    occurrence,
    is_identical
    or row_number() over (
        partition by source_id, played_at, content_id, ms_played, occurrence, is_identical
        order by row_id
    ) > 1,
    is_shared,
    export_no
from (
    select
        *,
        case when cuts_to_minutes then place_in_key else place_of_variant end - 1 as occurrence,
        not cuts_to_minutes and place_in_variant > 1 as is_identical,
        coalesce(
            known_of_moment between 1 and rows_of_moment - 1
            or (ms_played is distinct from 0 and first_of_moment <> last_of_moment)
            or (match_title <> '' and first_of_title <> last_of_title),
            false
        ) as is_shared
    from (
        select
            e.row_id,
            x.source_id,
            traits.precision_ms >= 60000 as cuts_to_minutes,
            e.played_at,
            c.content_id,
            e.ms_played,
            s.match_title,
            export.export_no,
            count(*) over moment as rows_of_moment,
            count(c.content_id) over moment as known_of_moment,
            min(c.content_id) over moment as first_of_moment,
            max(c.content_id) over moment as last_of_moment,
            min(c.content_id) over titles as first_of_title,
            max(c.content_id) over titles as last_of_title,
            count(*) over (partition by x.source_id, e.played_at, c.content_id, e.ms_played) as rows_of_key,
            row_number() over (
                partition by x.source_id, e.played_at, c.content_id, e.ms_played, export.export_no
                order by e.row_id
            ) as place_in_key,
            dense_rank() over (
                partition by x.source_id, e.played_at, c.content_id, e.ms_played, export.export_no
                order by x.context_key, e.offline_timestamp, x.shuffle, x.skipped, x.offline, x.incognito
            ) as place_of_variant,
            row_number() over (
                partition by
                    x.source_id, e.played_at, c.content_id, e.ms_played, export.export_no,
                    x.context_key, e.offline_timestamp, x.shuffle, x.skipped, x.offline, x.incognito
                order by e.row_id
            ) as place_in_variant
        from {load}_events as e
        inner join {load}_circumstance_ids as x on x.circumstance_no = e.circumstance_no
        inner join raw.sources as traits on traits.source_id = x.source_id
        left join {load}_content_ids as c on c.content_no = e.content_no
        left join {load}_contents as s on s.content_no = e.content_no
        cross join lateral (select coalesce((%(export_nos)s::int[])[(e.row_id >> 32) + 1], 0) as export_no) as export
        where e.played_at in (select b.played_at from {load}_events as b group by b.played_at having count(*) > 1)
        window
            moment as (partition by x.source_id, e.played_at, e.ms_played),
            titles as (partition by x.source_id, e.played_at, e.ms_played, s.match_title)
    ) as compared
) as numbered
where rows_of_key > 1 or is_shared;
analyze {load}_repeated_events;

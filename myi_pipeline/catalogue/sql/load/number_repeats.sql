-- Rows of one archive that agree in the unique key. Over the whole staged archive and by a fixed order, so that neither
-- the order of files nor chunks change a number. Rows equal in every kept field too are one play, except where times are
-- cut to minutes, as in account data: there two equal rows are two plays.
-- Rows of two exports in one archive (`export_nos`, by the file's number) are numbered export by export: what the second one
-- tells again is one play, as it would be if it were an archive of its own.
-- A row is shared if a row of another content, or of none, has its moment and length. Skips of 0 ms come many in a
-- second; of those only rows that bear the same title, or one of which bears none.
-- First the seconds in which anything repeats, by one narrow column: that leaves a small part for the wide comparison.
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

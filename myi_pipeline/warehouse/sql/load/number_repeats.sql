-- Rows of one archive that agree in the unique key. Over the whole staged archive and by a fixed order, so that neither
-- the order of files nor chunks change a number. Rows equal in every kept field too are one play, except in account
-- data (source 2): its seconds are cut off, so two equal rows are two plays.
-- First the seconds in which anything repeats, by one narrow column: that leaves a small part for the wide comparison.
insert into {load}_repeated_events (row_id, occurrence, is_identical)
select
    row_id,
    case when source_id = 2 then place_in_key else place_of_variant end - 1,
    source_id <> 2 and place_in_variant > 1
from (
    select
        e.row_id,
        x.source_id,
        count(*) over (partition by x.source_id, e.played_at, c.content_id, e.ms_played) as rows_of_key,
        row_number() over (
            partition by x.source_id, e.played_at, c.content_id, e.ms_played
            order by e.row_id
        ) as place_in_key,
        dense_rank() over (
            partition by x.source_id, e.played_at, c.content_id, e.ms_played
            order by x.context_key, e.offline_timestamp, x.shuffle, x.skipped, x.offline, x.incognito
        ) as place_of_variant,
        row_number() over (
            partition by
                x.source_id, e.played_at, c.content_id, e.ms_played,
                x.context_key, e.offline_timestamp, x.shuffle, x.skipped, x.offline, x.incognito
            order by e.row_id
        ) as place_in_variant
    from {load}_events as e
    inner join {load}_circumstance_ids as x on x.circumstance_no = e.circumstance_no
    left join {load}_content_ids as c on c.content_no = e.content_no
    where e.played_at in (select b.played_at from {load}_events as b group by b.played_at having count(*) > 1)
) as numbered
where rows_of_key > 1;
analyze {load}_repeated_events;

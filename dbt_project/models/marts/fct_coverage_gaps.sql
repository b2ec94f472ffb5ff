{{ config(
    meta={'slices': 'run_users', 'slice_keys': ['user_id'], 'order_by': 'user_id, gap_start'},
    indexes=[{'columns': ['user_id', 'gap_start'], 'unique': true}],
) }}

with poll_gaps as (
    select * from {{ of_run_users(ref('stg_raw__poll_gaps')) }} as poll_gap
),

covered_spans as (
    select * from {{ of_run_users(ref('stg_raw__covered_spans')) }} as span
),

-- Where coverage begins (1) and ends (-1): of music by archives, of other kinds by archives, by polling, and what
-- polling missed. Open spans have no end.
edges as (
    select user_id, covered_from as edge_at, 1 as archived, 0 as others, 0 as polled, 0 as missed, package_id
    from covered_spans
    where kind = 'music'
    union all
    select user_id, covered_to, -1, 0, 0, 0, package_id from covered_spans
    where kind = 'music'
    union all
    select user_id, covered_from, 0, 1, 0, 0, null from covered_spans
    where kind <> 'music'
    union all
    select user_id, covered_to, 0, -1, 0, 0, null from covered_spans
    where kind <> 'music'
    union all
    select user_id, polled_from, 0, 0, 1, 0, null from {{ of_run_users(ref('stg_raw__polled_spans')) }} as span
    union all
    select user_id, polled_to, 0, 0, -1, 0, null from {{ of_run_users(ref('stg_raw__polled_spans')) }} as span
    where polled_to is not null
    union all
    select user_id, gap_start, 0, 0, 0, 1, null from poll_gaps
    union all
    select user_id, gap_end, 0, 0, 0, -1, null from poll_gaps
    where gap_end is not null
),

moments as (
    select
        user_id,
        edge_at,
        sum(sum(archived)) over up_to_here as archived,
        sum(sum(others)) over up_to_here as others,
        sum(sum(polled)) over up_to_here as polled,
        sum(sum(missed)) over up_to_here as missed,
        -- A span includes both its ends, even if it is a single moment.
        bool_or(archived <> 0 or polled <> 0) as is_covered,
        bool_or(polled <> 0) as is_polled,
        bool_or(others <> 0) as is_other,
        -- Exports that continue after a hole lack a file.
        array_agg(package_id) filter (where archived < 0 and package_id is not null) as ended_packages,
        array_agg(package_id) filter (where archived > 0 and package_id is not null) as begun_packages
    from edges
    group by user_id, edge_at
    window up_to_here as (partition by user_id order by edge_at)
),

segments as (
    select
        moment.*,
        lead(edge_at) over (partition by moment.user_id order by edge_at) as next_at,
        coalesce(lead(is_polled) over (partition by moment.user_id order by edge_at), false) as next_is_polled,
        lead(begun_packages) over (partition by moment.user_id order by edge_at) as next_begun_packages,
        bool_or(is_covered or is_other) over (partition by moment.user_id order by edge_at) as is_after_any,
        -- An offline play that surfaces behind fifty newer plays is on no page: polling alone proves nothing.
        coalesce(
            poll_gap.reason,
            case when moment.polled > 0 then 'polled_only' when moment.others > 0 then 'other_kinds_only' end
        ) as reason
    from moments as moment
    left join lateral (
        -- If several match, the one that began first.
        select poll_gaps.reason
        from poll_gaps
        where
            poll_gaps.user_id = moment.user_id
            and poll_gaps.gap_start <= moment.edge_at
            and (poll_gaps.gap_end > moment.edge_at or poll_gaps.gap_end is null)
        order by poll_gaps.gap_start, poll_gaps.reason
        limit 1
    ) as poll_gap on moment.polled > 0
),

uncovered as (
    select
        *,
        is_covered or lag(next_at) over earlier is distinct from edge_at or lag(reason) over earlier is distinct from reason
            as opens_gap
    from segments
    where is_after_any and archived = 0
    window earlier as (partition by user_id order by edge_at)
),

numbered as (
    select *, count(*) filter (where opens_gap) over (partition by user_id order by edge_at) as gap_no
    from uncovered
),

gaps as (
    select *, first_value(ended_packages) over (partition by user_id, gap_no order by edge_at) as packages_before
    from numbered
)

select
    user_id,
    min(edge_at) as gap_start,
    case when bool_and(next_at is not null) then max(next_at) end as gap_end,
    coalesce(
        min(reason),
        case
            when bool_or(next_at is null) and bool_or(opens_gap and is_polled) then 'after_polling'
            when bool_or(next_at is null) then 'after_last_archive'
            when bool_or((opens_gap and is_polled) or next_is_polled) then 'not_polled'
            when bool_or(coalesce(packages_before && next_begun_packages, false)) then 'missing_files'
            else 'between_archives'
        end
    ) as reason,
    min(reason) is distinct from 'polled_only' as is_evident
from gaps
group by user_id, gap_no

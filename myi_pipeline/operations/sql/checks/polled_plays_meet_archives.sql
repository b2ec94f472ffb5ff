-- Users at random: polled plays inside what an extended history covers, and how many of them it confirms. Not of its last
-- three days: what was heard offline then came after it.
with sampled as (
    select users.user_id
    from app.users as users
    where exists (select from raw.polled_spans as span where span.user_id = users.user_id)
    order by random()
    limit %(users)s
),

covered as (
    select resolved.decision
    from sampled
    cross join lateral (
        select decision
        from intermediate.int_plays__resolved as event
        where
            event.user_id = sampled.user_id
            and event.source_id in (select source_id from raw.sources where clock = 'learnt')
            and exists (
                select from raw.covered_spans as span
                where
                    span.user_id = sampled.user_id
                    and span.source_id in (select source_id from raw.sources where clock = 'end' and precision_ms < 60000)
                    and span.kind = 'music'
                    and event.played_at between span.covered_from and span.covered_to - interval '72 hours'
            )
        offset 0
    ) as resolved
)

select
    (select count(*) from sampled),
    count(*),
    count(*) filter (where decision <> 'alone')
from covered

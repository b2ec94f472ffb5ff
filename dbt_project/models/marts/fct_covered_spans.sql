{{ config(
    meta={'slices': 'run_users', 'slice_keys': ['user_id'], 'order_by': 'user_id, kind, covered_from'},
    indexes=[{'columns': ['user_id', 'kind', 'covered_from'], 'unique': true}],
) }}

with merged as (
    select
        span.user_id,
        span.kind,
        range_agg(tstzrange(span.covered_from, span.covered_to, '[]')) as spans
    from {{ of_run_users(ref('stg_raw__covered_spans')) }} as span
    group by span.user_id, span.kind
)

select
    merged.user_id,
    merged.kind,
    lower(whole.span) as covered_from,
    upper(whole.span) as covered_to
from merged
cross join lateral unnest(merged.spans) as whole (span)

-- A view: raw keeps each combination once, so there is nothing to compute and nothing to fall behind.
{{ config(materialized='view') }}

select
    context_id,
    platform,
    {{ platform_family('platform') }} as platform_family,
    country,
    reason_start,
    reason_end
from {{ ref('stg_raw__contexts') }}

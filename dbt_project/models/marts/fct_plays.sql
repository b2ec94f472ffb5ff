-- A view over one table, without a join: conditions on keys, times, dates and kinds are conditions on its own columns.
{{ config(materialized='view', meta={'security_invoker': true}) }}

{{ shown_plays() }}
from {{ ref('fct_plays_stored') }} as play
where play.is_hidden is null

-- Plays that their listener hid: listed here, counted nowhere.
{{ config(materialized='view', meta={'security_invoker': true}) }}

{{ shown_plays() }}
from {{ ref('fct_plays_stored') }} as play
where play.is_hidden

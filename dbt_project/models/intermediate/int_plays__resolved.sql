-- A view: nearly every event is a play of its own, and what is not stands in the three relations that it joins.
{{ config(materialized='view', post_hook=[]) }}

{{ resolution() }}

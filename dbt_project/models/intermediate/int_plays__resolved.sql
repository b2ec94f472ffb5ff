-- A view: nearly every event is a play by itself, and the others are in the three relations that it joins.
{{ config(materialized='view', post_hook=[]) }}

{{ resolution() }}

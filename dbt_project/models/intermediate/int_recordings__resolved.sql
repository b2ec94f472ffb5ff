-- A view: the rules are applied when a run opens (catalogue/recordings.py), so nothing is left to compute.
{{ config(materialized='view', post_hook=[]) }}

select
    content_id,
    recording_id,
    case when reason = 'alone' then 'alone' else 'same_recording' end as match_class,
    confidence,
    reason
from {{ source('ops', 'content_recordings') }}

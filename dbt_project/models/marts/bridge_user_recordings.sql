{{ config(
    meta={'slices': 'run_users', 'slice_keys': ['user_id'], 'order_by': 'user_id, track_id'},
    indexes=[{'columns': ['user_id', 'track_id'], 'unique': true}, {'columns': ['user_id', 'recording_id']}],
) }}

select
    decided.user_id,
    decided.content_id as track_id,
    decided.recording_id
from {{ of_run_users(source('ops', 'user_recordings')) }} as decided

-- Two tables, each with an index in the order of top lists: a page of such a list is merged from the beginnings of both.
{{ config(materialized='view', meta={'security_invoker': true}) }}

{%- set figures = 'ms_played, first_played_at, last_played_at, user_id, period_start, {}, plays, counted_plays' %}

select {{ figures.format('track_id as recording_id') }}
from {{ ref('agg_period_tracks_stored') }}
where part_of_recording = 0
union all
select {{ figures.format('recording_id') }}
from {{ ref('agg_period_recordings_merged') }}

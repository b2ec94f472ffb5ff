-- The key begins with the track: a run finds everybody who heard one whose genres or recording have changed.
{{ config(
    meta={'slices': 'touched_years_of', 'slice_arguments': ['track'], 'slice_keys': ['user_id', 'track_id', 'period_start'],
          'order_by': 'user_id, period_start, track_id'},
    indexes=[
        {'columns': ['track_id', 'user_id', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period_start', 'counted_plays desc', 'ms_played desc', 'track_id']},
    ],
) }}

{{ agg_period_stored('track') }}

{{ config(
    meta={'slices': 'touched_years_of', 'slice_arguments': ['track'], 'slice_keys': ['user_id', 'track_id', 'period_start'],
          'order_by': 'user_id, period_start, track_id'},
    indexes=[
        {'columns': ['user_id', 'track_id', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period_start', 'counted_plays desc', 'ms_played desc', 'track_id']},
    ],
) }}

{{ agg_period_stored('track') }}

{{ config(
    meta={'slices': touched_periods('track'), 'slice_condition': same_period('track'),
          'order_by': 'user_id, period, period_start, track_id'},
    indexes=[
        {'columns': ['user_id', 'track_id', 'period', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period', 'period_start', 'counted_plays desc', 'ms_played desc', 'track_id']},
    ],
) }}

{{ agg_period('track') }}

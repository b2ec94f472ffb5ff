{{ config(
    meta={'slices': touched_periods('artist'), 'slice_condition': same_period('artist'),
          'order_by': 'user_id, period, period_start, artist_id'},
    indexes=[
        {'columns': ['user_id', 'artist_id', 'period', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period', 'period_start', 'counted_plays desc', 'ms_played desc', 'artist_id']},
    ],
) }}

{{ agg_period('artist') }}

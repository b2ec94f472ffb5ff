{{ config(
    meta={'slices': touched_periods('album'), 'slice_condition': same_period('album'),
          'order_by': 'user_id, period, period_start, album_id'},
    indexes=[
        {'columns': ['user_id', 'album_id', 'period', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period', 'period_start', 'counted_plays desc', 'ms_played desc', 'album_id']},
    ],
) }}

{{ agg_period('album') }}

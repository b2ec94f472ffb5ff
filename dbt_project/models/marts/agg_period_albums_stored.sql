{{ config(
    meta={'slices': 'touched_years_of', 'slice_arguments': ['album'], 'slice_keys': ['user_id', 'album_id', 'period_start'],
          'order_by': 'user_id, period_start, album_id'},
    indexes=[
        {'columns': ['user_id', 'album_id', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period_start', 'counted_plays desc', 'ms_played desc', 'album_id']},
    ],
) }}

{{ agg_period_stored('album') }}

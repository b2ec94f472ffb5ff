{{ config(
    meta={'slices': 'touched_years_of', 'slice_arguments': ['artist'], 'slice_keys': ['user_id', 'artist_id', 'period_start'],
          'order_by': 'user_id, period_start, artist_id'},
    indexes=[
        {'columns': ['user_id', 'artist_id', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period_start', 'counted_plays desc', 'ms_played desc', 'artist_id']},
    ],
) }}

{{ agg_period_stored('artist') }}

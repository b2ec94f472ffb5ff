{% set entity = 'album' %}
{% set has_pictures = true %}
{% include 'marts/top_of_range.sql' %}

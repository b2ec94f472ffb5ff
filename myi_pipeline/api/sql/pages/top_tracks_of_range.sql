{% set entity = 'track' %}
{% set has_pictures = true %}
{% include 'marts/top_of_range.sql' %}

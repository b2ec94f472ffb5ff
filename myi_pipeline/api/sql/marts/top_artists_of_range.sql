{% set entity = 'artist' %}
{% include 'marts/top_of_range.sql' %}

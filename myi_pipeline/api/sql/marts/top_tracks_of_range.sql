{% set entity = 'track' %}
{% include 'marts/top_of_range.sql' %}

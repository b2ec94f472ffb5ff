{% set entity = 'album' %}
{% include 'marts/top_of_range.sql' %}

{% set entity = 'artist' %}
{% include 'marts/top_of_period.sql' %}

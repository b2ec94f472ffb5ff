{% set entity = 'track' %}
{% include 'marts/top_of_period.sql' %}

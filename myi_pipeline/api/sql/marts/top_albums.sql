{% set entity = 'album' %}
{% include 'marts/top_of_period.sql' %}

{#
  First days of the periods that contain a date, in date arithmetic: date_trunc would convert a date through the
  session's zone.
#}

{% macro week_of(local_date) -%}
    ({{ local_date }} - (extract(isodow from {{ local_date }})::int - 1))
{%- endmacro %}

{% macro month_of(local_date) -%}
    ({{ local_date }} - (extract(day from {{ local_date }})::int - 1))
{%- endmacro %}

{% macro year_of(local_date) -%}
    make_date(extract(year from {{ local_date }})::int, 1, 1)
{%- endmacro %}

{# The first day of the period `all`. #}
{% macro beginning() -%}
    date '1970-01-01'
{%- endmacro %}

{# The week, month, year and `all` that contain a date, each with the day after it. #}
{% macro periods_of(local_date) -%}
    values
    ('week', {{ week_of(local_date) }}, {{ week_of(local_date) }} + 7),
    ('month', {{ month_of(local_date) }}, ({{ month_of(local_date) }} + interval '1 month')::date),
    ('year', {{ year_of(local_date) }}, ({{ year_of(local_date) }} + interval '1 year')::date),
    ('all', {{ beginning() }}, date 'infinity')
{%- endmacro %}

{#
  The first local date that a play can have: loading refuses anything before October 2002 in UTC, which is a day earlier
  in the west.
#}
{% macro first_date() -%}
    date '2002-09-30'
{%- endmacro %}

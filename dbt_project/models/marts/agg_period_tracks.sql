{{ config(materialized='view', meta={'security_invoker': true}) }}

{{ agg_period('track') }}

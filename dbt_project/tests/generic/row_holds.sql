{#
  A condition that every row of the listeners of the last mart run meets; NULL does not. For a mart without user_id,
  every row is read.
#}
{% test row_holds(model, condition, has_users=true) %}
    select model.*
    from {{ last_touched_rows(model) if has_users else model }} as model
    where ({{ condition }}) is not true
{% endtest %}

{#
  A condition that every row of the listeners of the last mart run meets; NULL does not. For a mart without user_id,
  every row is read.
#}
{% test row_holds(model, condition, has_users=true) %}
    select model.*
    from {{ last_touched_users() ~ ' as touched inner join ' if has_users }}{{ model }} as model
    {{- ' on model.user_id = touched.user_id' if has_users }}
    where ({{ condition }}) is not true
{% endtest %}

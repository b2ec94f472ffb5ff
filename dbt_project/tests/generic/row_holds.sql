{#
  A condition that no row of the listeners of the last mart run breaks; NULL breaks it too. The rows of a mart without
  user_id are all read.
#}
{% test row_holds(model, condition, has_users=true) %}
    select model.*
    from {{ last_touched_users() ~ ' as touched inner join ' if has_users }}{{ model }} as model
    {{- ' on model.user_id = touched.user_id' if has_users }}
    where ({{ condition }}) is not true
{% endtest %}

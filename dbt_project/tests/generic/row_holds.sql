{# A condition that no row of the listeners of the last mart run breaks; NULL breaks it too. #}
{% test row_holds(model, condition) %}
    select model.*
    from {{ last_touched_users() }} as touched
    inner join {{ model }} as model on model.user_id = touched.user_id
    where ({{ condition }}) is not true
{% endtest %}

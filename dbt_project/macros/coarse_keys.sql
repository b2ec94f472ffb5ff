{#
  Names as other services spell them: two contents with the same key may be one song. Coarse on purpose, since the times
  must agree too: only letters, without accents, and without anything in brackets after other text, after a dash or
  after "feat.".
#}
{% macro coarse_title(title) -%}
    {%- set plain = plain_letters(title) -%}
    {%- set cut -%}
        regexp_replace(
            regexp_replace({{ plain }}, '(?<=\S)\s*[(\[{][^)\]}]*[)\]}]', ' ', 'g'),
            '(\s-\s|\s(feat|ft|featuring)\M).*$', ''
        )
    {%- endset -%}
    coalesce(
        nullif({{ without_marks(cut) }}, ''), nullif({{ without_marks(plain) }}, ''), nullif({{ plain }}, '')
    )
{%- endmacro %}

{# The first of several artists. #}
{% macro coarse_artist(artist) -%}
    {%- set plain = plain_letters(artist) -%}
    {%- set cut -%}
        regexp_replace(
            regexp_replace({{ plain }}, '^the\s+', ''), '(\s*[,;/&+]|\s(feat|ft|featuring|with|vs|x|and|und|et)\M).*$', ''
        )
    {%- endset -%}
    coalesce(nullif({{ without_marks(cut) }}, ''), nullif({{ without_marks(plain) }}, ''), {{ plain }})
{%- endmacro %}

{# Removes accents, unifies dashes, and replaces letters that do not decompose with plain ones. #}
{% macro plain_letters(name) -%}
    translate(
        lower(regexp_replace(normalize({{ name }}, nfkd), '[\u0300-\u036f]', '', 'g')),
        U&'\2010\2011\2012\2013\2014\2015\00f8\0142\0111\0131', '------oldi'
    )
{%- endmacro %}

{% macro without_marks(name) -%}
    regexp_replace({{ name }}, '\mand\M|[[:space:][:punct:]\u00a1\u00bf\u2016-\u2027\u2030-\u205e\u3001-\u3030]', '', 'g')
{%- endmacro %}

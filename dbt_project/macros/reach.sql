{#
  How far in time a polled play or a scrobble and another source's row of the same play may be seen. Together they bound how far one match
  can push others: in `rounds_of_matching` rounds through at most twice as many neighbours, each within
  longest_play + 1 minute, so that 4 rounds stay within a day of what changed.

  A scrobble may be held against a poll or another scrobble, which may be held against others: three neighbours a round, by
  their corrected times. 4 rounds stay within 34 hours; a clock that is off by up to 14 hours at both ends makes it 62, and
  so scrobbles are matched again within three days of what changed, and read two more.
#}

{# A pause inside a play; and how long after its sound a play may be reported before it counts as reported at a sync. #}
{% macro longest_pause() -%} interval '45 minutes' {%- endmacro %}

{# With its pauses; of a longer one only the end is looked at. #}
{% macro longest_play() -%} interval '165 minutes' {%- endmacro %}

{# What a device's clock and the network may add. #}
{% macro longest_delay() -%} interval '1 minute' {%- endmacro %}

{% macro rounds_of_matching() -%} {{ return(4) }} {%- endmacro %}

{#
  How far apart a polled play or a scrobble and another source's row of the same play may be. Together, these limits
  bound how far one match can affect others: `rounds_of_matching` rounds pass through at most twice as many neighbours,
  each within longest_play + 1 minute, so 4 rounds stay within a day of what changed.

  A scrobble may be compared with a poll or another scrobble, which may be compared with others: three neighbours per
  round, by their corrected times. 4 rounds stay within 34 hours, or 62 with a clock that is off by up to 14 hours at
  both ends. So scrobbles are matched again within three days of what changed, and two more days are read.
#}

{#
  The longest pause within a play; also how long after its sound a play may be reported before that counts as a later
  sync.
#}
{% macro longest_pause() -%} interval '45 minutes' {%- endmacro %}

{# Including pauses; for a longer play, only the end is considered. #}
{% macro longest_play() -%} interval '165 minutes' {%- endmacro %}

{# What a device's clock and the network may add. #}
{% macro longest_delay() -%} interval '1 minute' {%- endmacro %}

{% macro rounds_of_matching() -%} {{ return(4) }} {%- endmacro %}

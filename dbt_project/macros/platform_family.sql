{#
  What a platform's text stands for. Exports from before about 2021 name the device ("iOS 12.4 (iPhone10,4)", "Partner
  sonos_imx6 Sonos;Play1"), later ones the program ("ios", "sonos"). The order matters: a web player also names its
  operating system, and "android_tv" is not a phone.
#}
{% macro platform_family(platform) -%}
    case
        when {{ platform }} is null or lower({{ platform }}) in ('', 'not_applicable', 'unknown') then null
        when {{ platform }} ~* '^web_?player' then 'Web player'
        when {{ platform }} ~* '^(partner|cast|sonos|ps[0-9]|playstation|xbox|webos|tizen|roku|alexa|amazon|fire|bose|garmin)'
            or {{ platform }} ~* '(^|[_ ])(tv|car|automotive)($|[_ ;,])' then 'Speaker, TV or car'
        when {{ platform }} ~* '^(ios|iphone|ipad|ipod|watchos)' then 'iOS'
        when {{ platform }} ~* '^android' then 'Android'
        when {{ platform }} ~* '^(os ?x|mac)' then 'macOS'
        when {{ platform }} ~* '^win' then 'Windows'
        when {{ platform }} ~* '^linux' then 'Linux'
        else 'Other'
    end
{%- endmacro %}

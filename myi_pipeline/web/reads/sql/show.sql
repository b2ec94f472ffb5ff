-- The show or book of an episode or chapter that this user played.
select
    content.kind,
    content.collection as name,
    content.creator,
    content.show_id,
    split_part(name.search_text, ' / ', 3) as folded
from marts.dim_contents as content
inner join marts.search_names as name on name.kind in ('episode', 'chapter') and name.entity_id = content.content_id
where
    content.content_id = %(content_id)s
    and content.kind <> 'track'
    and content.collection is not null
    and exists (
        select from marts.fct_plays as play
        where play.user_id = %(user_id)s and play.content_id = %(content_id)s
    )

-- What stands on a list of an account, by the service's own id of the list.
select content.uri, content.title, content.creator
from marts.dim_playlists as listed
inner join marts.fct_playlist_items as item on item.playlist_id = listed.playlist_id
inner join marts.dim_contents as content on content.content_id = item.content_id
where
    listed.user_id = %(user_id)s
    and item.user_id = %(user_id)s
    and listed.account_id = %(account_id)s
    and listed.provider_playlist = %(provider_playlist)s
    and content.uri is not null

insert into raw.playlist_versions (
    playlist_id, version_no, seen_at, state, name, description, owner_id, owner_name, is_public, is_collaborative,
    provider_version, image_url, url, items_key, items
)
values (
    %(playlist_id)s, %(version_no)s, %(seen_at)s, %(state)s, %(name)s, %(description)s, %(owner_id)s, %(owner_name)s,
    %(is_public)s, %(is_collaborative)s, %(provider_version)s, %(image_url)s, %(url)s, %(items_key)s, %(items)s
)
returning version_id

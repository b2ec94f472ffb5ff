"""Deezer: public playlists and accounts read by their id, tracks found by ISRC and by name.

No login, no writing: Deezer accepts no new apps.

Errors come with HTTP 200 and an object `error` (4: too many requests; 800: no data); an address may ask 50 times in
five seconds; pages of 25 link to the next one, and may contain fewer tracks than they should. Facts are from other
programs' use of api.deezer.com; https://developers.deezer.com/api documents it for owners of an app.
"""

"""Last.fm: reading public scrobbles with the app's key, and scrobbling with a user's session key."""

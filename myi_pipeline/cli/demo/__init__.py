"""`myi demo`: the whole way, from archives and a polled Spotify to answers, with nothing but this machine."""

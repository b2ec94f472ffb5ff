"""MusicBrainz' own dump, from a folder: recordings, first releases and genres without asking for them one by one.

`files` finds the tables, `tables` knows their columns, `staging` copies what this installation can use into the schema
`load`, `answers` turns that into what the web service would have answered, and `load` matches and stores it.
"""

"""What answers look like: the schemas of the contract, with an example of each value.

Belongs here: fields, units, examples. Not here: filling them; rows go from the database to the wire as they are, and
tests hold them against these models. Invariant: a field that is listed here stays.
"""

"""The rules, in pure Python: no I/O, no clock of their own, standard library only."""

"""`myi doctor`: what could be wrong on this machine, and how to fix it.

One small function per check, by topic: the `machine`, the `places` where files are kept, the `database` itself, the
`work` on what is in it, the `services` of others. `run` calls them in order; `check` is what each finds.
"""

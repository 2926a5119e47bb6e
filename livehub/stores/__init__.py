"""The log and what lives beside it, once in SQLite and once in memory: the same promises, the same tests.

`writer` is the half both share: the order of commits, who is answered what, and what happens when the disk is full.
"""

"""The scenarios that come with loadtest. Each is a file of its own, to be read, run and copied; none knows another.

(`soak` is `conference` for longer, and the one exception.)
"""

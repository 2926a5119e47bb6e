"""livehub: a real-time server that turns one box into the live backend of an event."""

__version__ = "0.1.0"

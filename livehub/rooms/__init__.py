"""Rooms and what they need to live: the house, the gate, fan-out, recovery. They know features only as declared."""

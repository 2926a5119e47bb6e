"""Engine.IO v4, Socket.IO v5 and WebSocket framing, sans-I/O: bytes and the time come in, packets and events go out."""

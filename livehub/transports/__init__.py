"""Transports: WebSocket and long polling on one port, and what Engine.IO and Socket.IO need above them."""

"""A load harness for servers that push: users in plain Python, an open model, and proof of who heard what."""

"""What `make bench` runs: livehub, socket.io and a bare loop of `send()`, doing the same work on one machine.

Every point is one small file in `points/`, whose docstring says what is measured and how. The servers are processes
on core 0, this process drives them from core 1 with one raw epoll client (`crowd.py`) that treats all servers alike,
and rounds alternate between the servers, so that a noisy minute of the machine hits all of them.
"""

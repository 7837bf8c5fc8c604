"""What `streamer bench` measures and how; `cli/bench.py` is the command.

Every figure comes from a child process of its own (worker.py, started by children.py), so that its peak memory is its
own and nothing that an earlier one loaded or cached helps it. session.py says which are started and in what order.
"""

"""A simulator as a child process: reads one line of orders, prints one line with its address, then serves."""

import sys

from myi_pipeline.simulator.live.server import run_as_child

if __name__ == "__main__":
    run_as_child(sys.stdin, sys.stdout)

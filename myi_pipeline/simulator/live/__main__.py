"""A simulator as a child process: one line of orders in, one line with the address out, then it serves."""

import sys

from myi_pipeline.simulator.live.server import run_as_child

if __name__ == "__main__":
    run_as_child(sys.stdin, sys.stdout)

"""A program for one host: `python -m tests.scale.object_store ADDRESS PORT BUCKET`, the S3 server of the tests."""

from __future__ import annotations

import sys
import time

from tests.s3_server import running_s3

if __name__ == "__main__":
    with running_s3(address=sys.argv[1], port=int(sys.argv[2])) as server:
        server.make_bucket(sys.argv[3])
        while True:
            time.sleep(60)

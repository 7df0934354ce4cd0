#!/usr/bin/env bash
# moto 5.2.5, boto3 1.43.117, Python 3.
#
# A byte of a large object: moto's server reads all of the object into memory for it, and cuts the byte out.
# The same request of a small object takes a fraction of the time.
#
# Why it surprises: what is measured against it is moto. A file of 1 GB in blocks of 8 MiB makes it read 120 GB,
# and eight blocks at once want 8 GB of memory: large files for it come in shards.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "moto[s3,server]==5.2.5" boto3==1.43.117
"$work/venv/bin/python" - <<'PYTHON'
import logging
import time

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
                  aws_access_key_id="x", aws_secret_access_key="y")
s3.create_bucket(Bucket="models")
took = {}
for name, size in (("small", 1000), ("large", 300_000_000)):
    s3.put_object(Bucket="models", Key=name, Body=bytes(size))
    started = time.monotonic()
    for _ in range(5):
        s3.get_object(Bucket="models", Key=name, Range="bytes=0-0")["Body"].read()
    took[name] = time.monotonic() - started
print({name: f"{seconds / 5:.3f} s" for name, seconds in took.items()})
assert took["large"] > 5 * took["small"]
server.stop()
PYTHON

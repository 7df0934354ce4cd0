#!/usr/bin/env bash
# gcsfs 2026.10.1, gcp-storage-emulator 2026.7.19, Python 3.
#
# With STORAGE_EMULATOR_HOST set to an emulator that speaks HTTP, as its documentation says, the first listing of a
# bucket takes minutes (150 s here): gcsfs asks the same address by gRPC with TLS for the type of the bucket, tries again for
# 60 seconds a question, says "Could not determine bucket type" and then works. So does each new instance. With
# GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false, read when gcsfs is imported, it answers at once.
#
# Why it surprises: the variable says "experimental" and is on by default, and nothing fails: tests against an
# emulator only became a hundred times slower.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-0}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet gcsfs==2026.10.1 gcp-storage-emulator==2026.7.19
port=$("$work/venv/bin/python" -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
"$work/venv/bin/gcp-storage-emulator" start --host=127.0.0.1 --port="$port" --in-memory --default-bucket=lab \
  > "$work/server.txt" 2>&1 &
server=$!
export STORAGE_EMULATOR_HOST="http://127.0.0.1:$port"
cat > "$work/list.py" <<'PYTHON'
import socket
import sys
import time
from urllib.parse import urlsplit

import gcsfs
import os

address = urlsplit(os.environ["STORAGE_EMULATOR_HOST"])
for _ in range(600):
    try:
        socket.create_connection((address.hostname, address.port), 1).close()
        break
    except OSError:
        time.sleep(0.1)
start = time.monotonic()
print("listing:", gcsfs.GCSFileSystem(token="anon").find("lab/x"))
took = time.monotonic() - start
print(f"{took:.1f} s")
sys.stdout.flush()
slow = sys.argv[1] == "slow"
os._exit(0 if (took > 30) == slow else 1)
PYTHON
echo "as it is:"
"$work/venv/bin/python" "$work/list.py" slow 2>&1 | cut -c1-160
echo "switched off:"
GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false "$work/venv/bin/python" "$work/list.py" quick

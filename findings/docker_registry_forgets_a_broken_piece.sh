#!/usr/bin/env bash
# docker-registry 2.8.2 of Debian bookworm (distribution; also what Harbor and GitLab build on), Python 3.
#
# A blob is sent in pieces: POST begins a session, PATCH adds a piece, GET asks how far it is. A PATCH
# whose connection breaks in the middle leaves what arrived in the session's file. From then on every
# request to the session (GET, PATCH, DELETE) is answered 404 BLOB_UPLOAD_INVALID: the offset in the
# signed _state of its address is no longer the length of the file. The same follows when a piece was
# taken whole and only the answer was lost. The file stays until the registry purges uploads, a week.
#
# Why it surprises: the specification says that a client asks with GET after a failure and goes on
# (distribution-spec, "Pushing a blob in chunks"), and it works as long as nothing has failed. The log says
# "upload resumed at wrong offest". A 40 GB file whose connection breaks once begins at byte 0.
# Pinned: docker-registry==2.8.2+ds1-1 (Debian 12), by apt-get.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "$registry" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
apt-get download --quiet docker-registry=2.8.2+ds1-1 >/dev/null
dpkg-deb --extract docker-registry_*.deb .
cat > config.yml <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/data}}
http: {addr: "127.0.0.1:0"}
YAML
usr/bin/docker-registry serve config.yml > log 2>&1 &
registry=$!
until grep -q "listening on" log; do sleep 0.1; done
port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' log)

python3 - "$port" "$work" <<'PYTHON'
import http.client
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

port, work = int(sys.argv[1]), Path(sys.argv[2])


def ask(method, url, body=None):
    line = http.client.HTTPConnection("127.0.0.1", port)
    parts = urlsplit(url)
    line.request(method, f"{parts.path}?{parts.query}", body, {"Content-Type": "application/octet-stream"})
    answer = line.getresponse()
    answer.read()
    return answer.status, answer.getheader("Location"), answer.getheader("Range")


def break_in_the_middle(url, some, length):
    parts = urlsplit(url)
    with socket.create_connection(("127.0.0.1", port)) as line:
        head = f"PATCH {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
        line.sendall(head.encode() + bytes(some))
        time.sleep(0.3)


_, session, _ = ask("POST", "/v2/a/b/blobs/uploads/")
status, session, reached = ask("PATCH", session, bytes(1000))
print("a piece of 1000 bytes:", status, reached)
status, _, reached = ask("GET", session)
print("asked how far it is:", status, reached)
assert (status, reached) == (204, "0-999")
break_in_the_middle(session, 300, 1000)
time.sleep(0.3)
(file,) = work.glob("data/**/_uploads/*/data")
print("bytes that the registry has after a piece broke off:", file.stat().st_size)
assert file.stat().st_size == 1300
found = {method: ask(method, session)[0] for method in ("GET", "PATCH", "DELETE")}
print("asked again:", found)
assert set(found.values()) == {404}

_, session, _ = ask("POST", "/v2/a/b/blobs/uploads/")
ask("PATCH", session, bytes(1000))  # its answer is lost: nobody has the new address
print("after an answer that was lost:", ask("GET", session)[0])
assert ask("GET", session)[0] == 404
PYTHON
grep -o "upload resumed at wrong off.st: [0-9]* != [0-9]*" log | head -1

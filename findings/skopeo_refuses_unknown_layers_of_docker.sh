#!/usr/bin/env bash
# skopeo 1.9.3 and docker-registry 2.8.2 of Debian bookworm, Python 3.
#
# The same layer of an unknown media type (Ollama's application/vnd.ollama.image.model) in two manifests: in
# an OCI manifest skopeo copies it; in a manifest of Docker's schema 2, which is what Ollama pushes and the
# only one that it asks for, skopeo ends with "unsupported docker v2s2 media type". --preserve-digests and
# a copy into a folder, which change nothing of it, end the same way.
#
# Why it surprises: the registry takes both, skopeo would only have to move blobs, and its OCI side does not
# mind. A mirror that is made by skopeo has every model but those of Ollama.
# Pinned: docker-registry==2.8.2+ds1-1, skopeo==1.9.3+ds1-1+b10 (Debian 12), by apt-get.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "$registry" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
apt-get download --quiet docker-registry=2.8.2+ds1-1 skopeo=1.9.3+ds1-1+b10 libgpgme11 libassuan0 libgpg-error0 >/dev/null
for package in *.deb; do dpkg-deb --extract "$package" .; done
LD_LIBRARY_PATH=$(echo usr/lib/*-linux-gnu | tr ' ' :):$(echo lib/*-linux-gnu | tr ' ' :)
export LD_LIBRARY_PATH
cat > config.yml <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/data}}
http: {addr: "127.0.0.1:0"}
YAML
usr/bin/docker-registry serve config.yml > log 2>&1 &
registry=$!
until grep -q "listening on" log; do sleep 0.1; done
port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' log)

python3 - "http://127.0.0.1:$port/v2/a/b" <<'PYTHON'
import hashlib
import json
import sys
import urllib.request

place = sys.argv[1]


def send(method, url, body, media_type):
    headers = {"Content-Type": media_type}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    return urllib.request.urlopen(request)


def blob(content):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with send("POST", f"{place}/blobs/uploads/", b"", "x/y") as answer:
        session = answer.headers["Location"]
    send("PUT", f"{session}&digest={digest}", content, "application/octet-stream").close()
    return {"digest": digest, "size": len(content)}


layer = {"mediaType": "application/vnd.ollama.image.model", **blob(b"GGUF")}
config = {"mediaType": "application/vnd.docker.container.image.v1+json", **blob(b"{}")}
for tag, kind in (
    ("oci", "application/vnd.oci.image.manifest.v1+json"),
    ("docker", "application/vnd.docker.distribution.manifest.v2+json"),
):
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
    send("PUT", f"{place}/manifests/{tag}", json.dumps(manifest).encode(), kind).close()
PYTHON
copy() { usr/bin/skopeo copy --insecure-policy --src-tls-verify=false "docker://127.0.0.1:$port/a/b:$1" "dir:$work/$1" 2>&1; }
copy oci | tail -1
{ copy docker || true; } | grep -o 'unsupported docker v2s2 media type.*'
test -f oci/manifest.json && ! test -f docker/manifest.json

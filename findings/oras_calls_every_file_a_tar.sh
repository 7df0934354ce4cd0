#!/usr/bin/env bash
# oras 0.2.43 (Python), Python 3.10 or later; no registry is needed to see it.
#
# A plain file is pushed as a layer of the media type application/vnd.oci.image.layer.v1.tar although it is
# no archive; a folder as ...v1.tar+gzip, which it is, with nothing that says that it has to be unpacked (the
# Go client writes io.deis.oras.content.unpack). The title is the last segment of the path: two README.md of
# two folders have one title, and one of them is left when both are pulled.
#
# Why it surprises: whoever unpacks by media type fails on the files, whoever takes files as they are gets an
# archive called "adapter" for a folder, and the digest of the manifest says that all is well.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'oras==0.2.43'
cd "$work"
mkdir -p adapter merged
echo one > adapter/README.md
echo two > merged/README.md

"$work/venv/bin/python" - <<'PYTHON'
import json

import oras.provider


class Noting(oras.provider.Registry):
    """A registry that notes the manifest and answers 201 to everything."""

    def upload_blob(self, *args, **kwargs):
        return self.answer()

    def upload_manifest(self, manifest, container):
        self.manifest = manifest
        return self.answer()

    def answer(self):
        import requests

        answer = requests.Response()
        answer.status_code = 201
        return answer


registry = Noting(hostname="localhost:1", insecure=True)
registry.push(target="localhost:1/a/b:v1", files=["adapter/README.md", "merged/README.md", "adapter"])
layers = registry.manifest["layers"]
print(json.dumps([{"type": x["mediaType"], **x["annotations"]} for x in layers], indent=1))
titles = [layer["annotations"]["org.opencontainers.image.title"] for layer in layers]
assert titles == ["README.md", "README.md", "adapter"]
assert layers[0]["mediaType"].endswith(".layer.v1.tar")
assert layers[2]["mediaType"].endswith(".layer.v1.tar+gzip")
assert set(layers[2]["annotations"]) == {"org.opencontainers.image.title"}
PYTHON

#!/usr/bin/env bash
# ramalama 0.25.0 (0.24.0 alike), Python 3.10 or later; no container engine and no registry is needed to see it.
#
# Two things about models in registries, both in ramalama/transports/oci:
# 1. Without podman (its HttpArtifactStrategy, for docker) no pull can succeed: download_blob ends in a
#    `finally` that removes the file and says `raise`, where nothing was raised.
# 2. With podman the model that is run is the first name of the manifest in the order of the alphabet. Upper
#    case comes first, so a model with its licence beside it is `llama-server --model /mnt/models/LICENSE`.
#
# Why it surprises: 0.24.0 has the first one already, and both are what `ramalama pull oci://...` is for. The
# specification (ModelPack) has a media type for documents, which the same folder knows and checks.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'ramalama==0.25.0'

"$work/venv/bin/python" - "$work" <<'PYTHON'
import hashlib
import io
import json
import sys
from pathlib import Path

from ramalama.oci_tools import OciRef
from ramalama.transports.oci.oci_artifact import OCIRegistryClient
from ramalama.transports.oci.strategies import PodmanArtifactStrategy

work = Path(sys.argv[1])
content = b"GGUF and so on"
digest = "sha256:" + hashlib.sha256(content).hexdigest()


class Answering(OCIRegistryClient):
    """A registry that has the one blob."""

    def _open(self, url, headers=None):
        return io.BytesIO(content)


try:
    Answering("r.io", "a/b", "v1").download_blob(digest, str(work / "blob"))
except RuntimeError as error:
    print("a blob with the right digest:", error)
else:
    raise SystemExit("it was downloaded")
assert not (work / "blob").exists()

start = "application/vnd.cncf.model"
layers = [
    {"mediaType": f"{start}.{sort}.v1.raw", "digest": digest, "size": 14,
     "annotations": {"org.cncf.model.filepath": name}}
    for sort, name in (("weight", "tiny-Q8_0.gguf"), ("doc", "LICENSE"))
]
podman = work / "podman"  # only prints the manifest, as `podman artifact inspect` does
podman.write_text(f"#!/bin/sh\ncat <<'X'\n{json.dumps({'layers': layers})}\nX\n")
podman.chmod(0o755)
strategy = PodmanArtifactStrategy(engine=str(podman), model_store=None)
path = strategy.entrypoint_path(OciRef.from_ref_string("r.io/a/b:v1"))
print("the model that is run:", path)
assert path == "/mnt/models/LICENSE"
PYTHON

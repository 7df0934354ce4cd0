#!/usr/bin/env bash
# spdx-python-model 0.0.6, Python 3.10 or later.
#
# The bindings are generated from SPDX's SHACL shapes. They refuse relationship types and dates that do not exist,
# and elements without what the core demands when these are written. An AIPackage without releaseTime, suppliedBy,
# downloadLocation, packageVersion and primaryPurpose, which the AI profile demands, is read and written, also
# in a document that says that it conforms to the profile. A reference to an element that is not in the
# document is only in what link() returns.
#
# Why it surprises: "validated with SPDX's model" does not mean that a document is what it says it conforms to.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'spdx-python-model==0.0.6'

"$work/venv/bin/python" - <<'PYTHON'
import io
import json

from spdx_python_model import v3_0_1 as spdx


def read(created="2026-11-29T00:00:00Z", relation="descendantOf"):
    graph = [
        {"type": "CreationInfo", "@id": "_:c", "created": created, "createdBy": ["urn:x#agent"],
         "specVersion": "3.0.1"},
        {"type": "SoftwareAgent", "spdxId": "urn:x#agent", "creationInfo": "_:c", "name": "x"},
        {"type": "ai_AIPackage", "spdxId": "urn:x#model", "creationInfo": "_:c", "name": "tiny"},
        {"type": "Relationship", "spdxId": "urn:x#r", "creationInfo": "_:c",
         "from": "urn:x#model", "relationshipType": relation, "to": ["urn:x#nothing"]},
        {"type": "SpdxDocument", "spdxId": "urn:x#d", "creationInfo": "_:c",
         "profileConformance": ["core", "software", "ai"], "rootElement": ["urn:x#model"]},
    ]
    text = json.dumps({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": graph})
    objects = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(text.encode()), objects)
    return objects


objects = read()
spdx.JSONLDSerializer().write(objects, io.BytesIO())
print("an AIPackage with a name only is taken; missing:", objects.link())
assert objects.link() == {"urn:x#nothing"}

for wrong in ({"created": "yesterday"}, {"relation": "cousinOf"}):
    try:
        read(**wrong)
    except ValueError as error:
        print("refused:", str(error)[:80])
    else:
        raise AssertionError(wrong)
PYTHON

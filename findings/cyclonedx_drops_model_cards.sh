#!/usr/bin/env bash
# cyclonedx-python-lib 11.12.0, Python 3.10 or later.
#
# A valid ML-BOM of 1.7 is read by Bom.from_json and written again by the library's JSON writer: the model
# card, the data of a component and the formulation are gone, without an error or a warning, and what is left
# is valid by the library's own strict validator.
#
# Why it surprises: who reads a bill to add a component or to sort it publishes one without what made it an
# ML-BOM. The validator does not help, since model cards are optional.
#
# And: the strict validator takes two components with one bom-ref, and a dependency on a bom-ref that nothing
# has; the specification allows neither.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'cyclonedx-python-lib[json-validation]==11.12.0'

"$work/venv/bin/python" - <<'PYTHON'
import copy
import json

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot7
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validate = JsonStrictValidator(SchemaVersion.V1_7).validate_str
model = {
    "type": "machine-learning-model",
    "bom-ref": "model",
    "name": "tiny",
    "modelCard": {"modelParameters": {"task": "text-generation"}},
}
data = {
    "type": "data",
    "bom-ref": "data",
    "name": "acme/chats",
    "data": [{"type": "dataset", "name": "acme/chats"}],
}
workflow = {"bom-ref": "workflow", "uid": "1", "taskTypes": ["build"]}
bom = {
    "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
    "bomFormat": "CycloneDX",
    "specVersion": "1.7",
    "version": 1,
    "components": [model, data],
    "formulation": [{"workflows": [workflow]}],
}
assert validate(json.dumps(bom)) is None

written = JsonV1Dot7(Bom.from_json(copy.deepcopy(bom))).output_as_string()
assert validate(written) is None
left = json.loads(written)
print("left of the components:", [sorted(c) for c in left["components"]])
print("left of the bill:", sorted(left))
assert "modelCard" not in written
assert "formulation" not in left
assert not any("data" in component for component in left["components"])

twice = {**bom, "components": [model, {**model, "name": "other"}]}
assert validate(json.dumps(twice)) is None
nowhere = {**bom, "dependencies": [{"ref": "model", "dependsOn": ["nothing"]}]}
assert validate(json.dumps(nowhere)) is None
print("valid: one bom-ref for two components, and a dependency on nothing")
PYTHON

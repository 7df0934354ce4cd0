#!/usr/bin/env bash
# transformers==5.24.0, Python 3.10 or later.
#
# The config.json of a Qwen2 holds "sliding_window": 131072 and "use_sliding_window": false. Qwen2Config drops the number
# when it reads the file: config.sliding_window is None, and what it saves says null. The number does not come
# back either: from_pretrained(..., use_sliding_window=True) on the ORIGINAL file gives a model without a window in any layer,
# and so does setting the switch in the saved file.
#
# Why it surprises: a fine-tune's config.json differs from its base's in a field that nobody changed (a comparison of the
# two reports another window), and the documented switch is without effect, silently, when it is given at loading.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'transformers==5.24.0'

"$work/venv/bin/python" - "$work" <<'PYTHON'
import json
import sys
from pathlib import Path

from transformers import Qwen2Config

work = Path(sys.argv[1])
(work / "base").mkdir()
written = {
    "model_type": "qwen2", "num_hidden_layers": 28, "max_window_layers": 21,
    "sliding_window": 131072, "use_sliding_window": False,
}
(work / "base" / "config.json").write_text(json.dumps(written))
read = Qwen2Config.from_pretrained(work / "base")
read.save_pretrained(work / "saved")
saved = json.loads((work / "saved" / "config.json").read_text())
switched = Qwen2Config.from_pretrained(work / "base", use_sliding_window=True)
saved_on = work / "saved" / "config.json"
saved_on.write_text(json.dumps({**saved, "use_sliding_window": True}))
again = Qwen2Config.from_pretrained(work / "saved")
direct = Qwen2Config(**{k: v for k, v in written.items() if k != "model_type"} | {"use_sliding_window": True})
print("read:", read.sliding_window, "saved:", saved["sliding_window"])
for name, config in (("switched on at loading", switched), ("in the saved file", again), ("in the constructor", direct)):
    print(f"{name}: window {config.sliding_window}, layers with it {config.layer_types.count('sliding_attention')}")
assert read.sliding_window is None and saved["sliding_window"] is None
assert switched.use_sliding_window and switched.layer_types.count("sliding_attention") == 0
assert again.layer_types.count("sliding_attention") == 0
assert direct.sliding_window == 131072 and direct.layer_types.count("sliding_attention") == 7
PYTHON

#!/usr/bin/env bash
# transformers==4.57.6 and 5.24.0, without torch
#
# A processor's chat template may be in chat_template.jinja, in chat_template.json and in
# processor_config.json. Where a folder holds more than one, 4.57 takes chat_template.json, then the
# .jinja file, then processor_config.json; 5.24 takes processor_config.json, then chat_template.json,
# then the .jinja file. So the same folder gives another prompt after an update, and the file that
# 5.24 itself asks people to move their template to is the one that it takes last.
#
# Surprising because chat_template.jinja is the documented place, because a plain tokenizer takes it
# first in both versions, and because somebody who edits it sees no change.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 4.57.6 5.24.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q "transformers==$version"
    "$folder/$version/bin/python" - "$folder/of-$version" "$version" <<'PY'
import json
import pathlib
import sys

from transformers import ProcessorMixin

root, version = pathlib.Path(sys.argv[1]), sys.argv[2]
FILES = ("chat_template.jinja", "chat_template.json", "processor_config.json")
ORDER = {
    "4.57.6": ("chat_template.json", "chat_template.jinja", "processor_config.json"),
    "5.24.0": ("processor_config.json", "chat_template.json", "chat_template.jinja"),
}[version]
for left_out in (None, *FILES):
    there = [name for name in FILES if name != left_out]
    folder = root / f"without-{left_out}"
    folder.mkdir(parents=True)
    (folder / "processor_config.json").write_text("{}")
    for name in there:
        text = name if name.endswith(".jinja") else json.dumps({"chat_template": name})
        (folder / name).write_text(text)
    taken = ProcessorMixin.get_processor_dict(str(folder))[0]["chat_template"]
    print(f"transformers {version}, templates in {', '.join(there)}: takes {taken}")
    assert taken == next(name for name in ORDER if name in there)
PY
done

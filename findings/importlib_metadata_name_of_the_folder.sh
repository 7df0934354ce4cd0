#!/usr/bin/env bash
# importlib_metadata==10.2.0, and importlib.metadata of Python 3.11
#
# entry_points() lists a distribution by the Name in its METADATA, whatever its folder is called. A
# question by name, requires("my_format.py"), does not look at METADATA: it looks for a folder whose
# name, in lower case with "_" for every run of "-", "_" and ".", begins with that of the name. So a
# distribution whose folder is called otherwise is listed, loaded, and "not found" in one process.
#
# Surprising because dist.name of a listed entry point is the natural thing to ask with. Met with:
# metadata that is written by hand, for plugins of one file; any tool that lays out dist-info itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'importlib_metadata==10.2.0'
mkdir -p "$folder/site/my_format-0.dist-info"
printf 'Metadata-Version: 2.1\nName: my_format.py\nVersion: 0\nRequires-Dist: click\n' \
    > "$folder/site/my_format-0.dist-info/METADATA"
printf '[acme]\nx = my_format\n' > "$folder/site/my_format-0.dist-info/entry_points.txt"
PYTHONPATH="$folder/site" "$folder/venv/bin/python" - "$folder/site" <<'PY'
import importlib
import importlib.metadata
import pathlib
import sys

import importlib_metadata

site = pathlib.Path(sys.argv[1])
for library in (importlib_metadata, importlib.metadata):
    (point,) = library.entry_points(group="acme")
    name = point.dist.name
    try:
        found = library.requires(name)
    except library.PackageNotFoundError:
        found = "not found"
    print(f"{library.__name__}: listed as {name!r}, asked by that name: {found}")
    assert found == "not found", "the name in METADATA is looked at now"

(site / "my_format-0.dist-info").rename(site / "my_format_py-0.dist-info")
for library in (importlib_metadata, importlib.metadata):
    importlib.invalidate_caches()
    assert library.requires("my_format.py") == ["click"]
PY

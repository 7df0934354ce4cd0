#!/usr/bin/env bash
# pytest==9.0.2
#
# __test__ = False keeps a class out. __test__ = True does more than undo that: pytest then collects the
# class whatever its name is, "python_classes" or not. A base class that says True for its subclasses
# so turns every abstract class between them into tests. Any other true value, such as 1, only lifts
# the False: names decide again.
#
# Surprising because __test__ is described as a way to opt out. Met with: a base class of test classes
# that lets only complete subclasses run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'pytest==9.0.2'
cat > "$folder/test_it.py" <<'PY'
class Silent:
    __test__ = False

class Says(Silent):
    __test__ = True
    def test_one(self): pass

class One(Silent):
    __test__ = 1
    def test_one(self): pass

class TestOne(Silent):
    __test__ = 1
    def test_one(self): pass
PY
found=$("$folder/venv/bin/python" -m pytest -q --collect-only "$folder/test_it.py" | grep ::)
echo "$found"
[ "$(echo "$found" | grep -c 'Says::')" = 1 ]
[ "$(echo "$found" | grep -c 'TestOne::')" = 1 ]
[ "$(echo "$found" | grep -c '::One\b\|py::One')" = 0 ]

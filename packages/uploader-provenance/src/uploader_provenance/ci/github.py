"""A workflow of GitHub Actions."""

from __future__ import annotations

import json

from uploader_provenance.ci.release import LOG, OUTPUT, Wanted

# By commit, for a tag can be moved.
_CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"
_PYTHON = "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0"
_CACHE = "actions/cache@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3"

FILE = ".github/workflows/release.yml"


def workflow(wanted: Wanted) -> str:
    """Return the text of the workflow."""
    tag = "$GITHUB_REF_NAME"
    package, token = "", ""
    if any(to.startswith("oci:ghcr.io/") for to in wanted.destinations):
        package = "      packages: write # ghcr.io\n"
        token = (
            "        env:\n          GITHUB_TOKEN: ${{ github.token }} # of this job, for ghcr.io\n"
        )
    identity = f"      HF_OIDC_RESOURCE: {json.dumps(wanted.resource)}\n" if wanted.resource else ""
    return f"""\
# Written by `uploader ci init`. It is yours: change it as you like.
#
# A tag plans, makes, measures, signs and publishes. There is no stored secret: the job proves who
# it is by an identity that GitHub gives it for minutes. Started by hand it does all but publish;
# do that once on the default branch, whose caches are the only ones that every tag can use.
name: Release

on:
  push:
    tags: [{json.dumps(wanted.tags)}]
  workflow_dispatch:

permissions: {{}}

concurrency:
  group: release-${{{{ github.ref }}}}

defaults:
  run:
    shell: bash

jobs:
  release:
    runs-on: ubuntu-latest
    timeout-minutes: 350
    permissions:
      contents: read
      id-token: write # the identity
{package}\
    env:
      HF_HOME: ${{{{ github.workspace }}}}/.cache/huggingface
{identity}\
    steps:
      - uses: {_CHECKOUT}
        with:
          persist-credentials: false
      - uses: {_PYTHON}
        with:
          python-version: {json.dumps(wanted.python)}
          cache: pip
          cache-dependency-path: {json.dumps(wanted.requirements)}
      - name: Downloads of earlier runs
        uses: {_CACHE}
        with:
          path: .cache/huggingface/hub
          key: base-${{{{ hashFiles({_quoted(wanted.cached)}) }}}}
      - name: Install
        run: python -m pip install -r {wanted.requirements}
      - name: Plan
        if: github.ref_type == 'tag'
{token}\
        run: |
{_indented(wanted.plan(tag))}
      - name: Make and measure
        run: |
{_indented(wanted.make() + f" 2>&1 | tee {LOG}")}
      - name: Sign and publish
        if: github.ref_type == 'tag'
{token}\
        run: |
{_indented(wanted.publish(tag) + f" 2>&1 | tee {LOG}")}
      - name: Verify
        run: {wanted.verify()}
      - name: Summary
        if: always()
        run: |
{_indented(_SUMMARY)}
"""


_SUMMARY = f"""\
if [ -f {OUTPUT}/README.md ]; then cat {OUTPUT}/README.md >> "$GITHUB_STEP_SUMMARY"; fi
if [ -f {LOG} ]; then
  {{ echo; echo '```text'; tail -n 25 {LOG}; echo '```'; }} >> "$GITHUB_STEP_SUMMARY"
fi"""


def _indented(text: str) -> str:
    return "\n".join(" " * 10 + line for line in text.splitlines())


def _quoted(text: str) -> str:
    """Quote a text as an expression of GitHub does."""
    return "'" + text.replace("'", "''") + "'"

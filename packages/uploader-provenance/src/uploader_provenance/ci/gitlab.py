"""A pipeline of GitLab CI."""

from __future__ import annotations

import json

from uploader_provenance.ci.release import LOG, OUTPUT, Wanted

FILE = ".gitlab-ci.yml"


def pipeline(wanted: Wanted) -> str:
    """Return the text of the pipeline."""
    tokens = {"HF_OIDC_ID_TOKEN": "https://huggingface.co"} if wanted.resource else {}
    tokens |= {"SIGSTORE_ID_TOKEN": "sigstore"} if wanted.sign else {}
    identity = "".join(f"    {name}:\n      aud: {aud}\n" for name, aud in tokens.items())
    resource = f"    HF_OIDC_RESOURCE: {json.dumps(wanted.resource)}\n" if wanted.resource else ""
    pattern = "/^" + "".join(".*" if c == "*" else _literal(c) for c in wanted.tags) + "$/"
    commands = [
        f"python -m pip install -r {wanted.requirements}",
        wanted.plan("$CI_COMMIT_TAG"),
        f"{wanted.make()} 2>&1 | tee {LOG}",
        f"{wanted.publish('$CI_COMMIT_TAG')} 2>&1 | tee {LOG}",
        wanted.verify(),
    ]
    steps = ("set -o pipefail", *commands)
    script = "".join(f"    - |\n{_indented(command)}\n" for command in steps)
    return f"""\
# Written by `uploader ci init`. It is yours: change it as you like.
#
# A tag plans, makes, measures, signs and publishes. There is no stored secret: the job proves who
# it is by tokens that GitLab makes for it, and that end with it.
release:
  image: python:{wanted.python}
  rules:
    - if: $CI_COMMIT_TAG =~ {pattern}
  timeout: 6h
  id_tokens:
{identity or "    {}" + chr(10)}\
  variables:
    HF_HOME: $CI_PROJECT_DIR/.cache/huggingface
{resource}\
  cache:
    key:
      files:
        - {json.dumps(wanted.cached)}
    paths:
      - .cache/huggingface/hub
  script:
{script}\
  artifacts:
    when: always
    paths:
      - {OUTPUT}/README.md
      - {LOG}
"""


def _indented(text: str) -> str:
    return "\n".join(" " * 6 + line for line in text.splitlines())


def _literal(character: str) -> str:
    return character if character.isalnum() else "\\" + character

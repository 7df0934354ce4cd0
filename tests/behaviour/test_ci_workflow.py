"""The workflow of ``uploader ci init``, run line by line by a shell, without any secret."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

bash = shutil.which("bash")
needs_bash = pytest.mark.skipif(bash is None, reason="needs bash, as GitHub's machines have it")

CLAIMS = {"repository": "acme/training", "ref": "refs/tags/v1", "workflow": "release.yml"}


class Job:
    """Runs what a workflow says, as GitHub does: each step a script of its own."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        self.environment = environment
        self.said: dict[str, str] = {}

    def init(self, *words: str) -> None:
        """Write the workflow."""
        self.script(f"{sys.executable} -m uploader_core ci init {' '.join(words)}")

    def script(self, text: str, **more: str) -> subprocess.CompletedProcess[str]:
        # GitHub's own words for `shell: bash`.
        return subprocess.run(
            [str(bash), "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
            cwd=self.root, env={**self.environment, **more}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip

    def run(self, *, tag: bool) -> tuple[str, int]:
        """Run the job; return the step that failed and its exit code, or "" and 0."""
        workflow = yaml.safe_load((self.root / ".github/workflows/release.yml").read_text("utf-8"))
        job = workflow["jobs"]["release"]
        env = {k: v for k, v in job["env"].items() if "${{" not in v}
        failed = ("", 0)
        for step in job["steps"]:
            condition = step.get("if", "success()")
            wanted = failed == ("", 0) and (tag or "ref_type == 'tag'" not in condition)
            if "run" not in step or not (wanted or condition == "always()"):
                continue
            ended = self.script(step["run"], **env)
            self.said[step["name"]] = ended.stdout + ended.stderr
            if ended.returncode and not failed[1]:
                failed = (step["name"], ended.returncode)
        return failed

    def run_gitlab(self, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the pipeline for GitLab, whose script is one."""
        pipeline = yaml.safe_load((self.root / ".gitlab-ci.yml").read_text("utf-8"))
        env = {k: v for k, v in pipeline["release"]["variables"].items() if "$" not in v}
        return self.script("\n".join(pipeline["release"]["script"]), **env, **more)


@pytest.fixture
def job(hub: Any, uploader: Any, fine_tune: Path) -> Job:
    """A repository with a fine-tune, on a machine whose only login is what it is."""
    for kind in ("LoRA", "GGUF"):
        hub.store.create(f"me/tiny-{kind}", private=True)
        hub.identities.trust(f"me/tiny-{kind}", repository="acme/training", workflow="release.yml")
    root = fine_tune.parent
    # What a shell of GitHub's has, and every plugin; pip may not look anywhere.
    environment = {
        **{
            k: v for k, v in os.environ.items() if not re.search("TOKEN|SECRET|KEY|PASS|DISABLE", k)
        },
        **{k: v for k, v in uploader.environment.items() if k != "HF_TOKEN"},
        **hub.job(**CLAIMS),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "GITHUB_REF_NAME": "v1",
        "GITHUB_REPOSITORY": "acme/training",
        "GITHUB_STEP_SUMMARY": str(root / "summary.md"),
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    return Job(root, environment)


MEASURED = ("--option=--gguf-measure-contexts=2", "--option=--gguf-quants=Q8_0,Q2_K")


def key(path: Path) -> str:
    """Make a key to sign with: there is no Sigstore on this machine."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    made = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    )
    return path.name


def commits(hub: Any) -> list[str]:
    return [line for line in hub.requests if "/commit/" in line]


@needs_bash
@pytest.mark.slow
def test_tag_makes_measures_signs_and_publishes(job: Job, hub: Any) -> None:
    pytest.importorskip("pip")
    signed = f"--option=--provenance-key={key(job.root / 'key.pem')}"
    job.init("final_model", "--to", "hf:me/tiny", "--plugins", "lora,gguf", "--max-kl", "50",
             *MEASURED, "--no-sign", signed)  # fmt: skip
    assert job.run(tag=True) == ("", 0), job.said
    for kind in ("LoRA", "GGUF"):
        repo = hub.store.repos[f"me/tiny-{kind}"]
        assert repo.private
        assert "v1" in repo.tags
        names = repo.resolve("main").files.keys()
        assert {"upload_manifest.json", "fidelity_gate.json", "model.sig"} <= names
    assert "gguf" in (job.root / "summary.md").read_text("utf-8")
    everything = "".join(job.said.values())
    assert "hf_jwt_" not in everything
    assert job.environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] not in everything


@needs_bash
@pytest.mark.slow
def test_what_lost_too_much_is_not_published(job: Job, hub: Any) -> None:
    pytest.importorskip("pip")
    job.init("final_model", "--to", "hf:me/tiny", "--plugins", "gguf", "--max-kl", "1e-9",
             *MEASURED, "--no-sign")  # fmt: skip
    assert job.run(tag=True) == ("Make and measure", 9), job.said
    assert not commits(hub)
    assert "allowed are 1e-09" in " ".join((job.root / "summary.md").read_text("utf-8").split())


@needs_bash
@pytest.mark.slow
def test_what_cannot_be_signed_is_not_published(job: Job, hub: Any) -> None:
    pytest.importorskip("pip")
    pytest.importorskip("sigstore")
    job.environment |= {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"}
    job.init("final_model", "--to", "hf:me/tiny", "--plugins", "lora")
    step, code = job.run(tag=True)
    assert (step, code in (3, 5)) == ("Sign and publish", True), job.said
    assert "Sigstore did not sign" in " ".join(job.said[step].split())
    assert not commits(hub)


@needs_bash
@pytest.mark.slow
def test_pipeline_of_gitlab_publishes_by_the_token_that_it_is_given(job: Job, hub: Any) -> None:
    pytest.importorskip("pip")
    job.init("final_model", "--to", "hf:me/tiny", "--plugins", "lora", "--no-sign",
             "--provider", "gitlab")  # fmt: skip
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        del job.environment[name]
    of_job = hub.identities.sign({**CLAIMS, "aud": hub.url, "exp": 1 << 40})
    ended = job.run_gitlab(CI_COMMIT_TAG="v1", HF_OIDC_ID_TOKEN=of_job)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "v1" in hub.store.repos["me/tiny-LoRA"].tags
    assert of_job not in ended.stdout + ended.stderr


@needs_bash
@pytest.mark.slow
def test_run_by_hand_publishes_nothing(job: Job, hub: Any) -> None:
    pytest.importorskip("pip")
    job.init("final_model", "--to", "hf:me/tiny", "--plugins", "lora", "--no-sign")
    assert job.run(tag=False) == ("", 0), job.said
    assert not commits(hub)
    assert (job.root / "release" / "lora" / "adapter_model.safetensors").is_file()

"""The page about a run: complete, small, and nothing in it runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from uploader_core.page import facts
from uploader_core.page.charts import MOST_POINTS, curve, scatter
from uploader_core.page.markup import Markup, element, link, text

PLUGIN = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="made", summary="made", consumes=("adapter",), produces="acme.made",
                   run="page_work:make", use="page_work:use")
"""
WORK = """
import os
from uploader_core.plugin import PluginError

def make(context):
    name = os.environ.get("EVIL", "made")
    if os.environ.get("FAIL"):
        raise PluginError(name, next=name)
    context.output.write("x.txt", "x")
    return context.artifact()

def use(context):
    return [(os.environ.get("EVIL", "program"), os.environ.get("EVIL", "run it"))]
"""
EVIL = [
    "<script>document.title='hacked'</script>",
    "<img src=x onerror=document.title='hacked'>",
    "\"><script>document.title='hacked'</script>",
    "'><svg onload=document.title='hacked'>",
    "</title><script>document.title='hacked'</script>",
    "</style><script>document.title='hacked'</script>",
    "</pre><iframe src=javascript:document.title='hacked'>",
    "javascript:document.title='hacked'",
    "JaVaScRiPt:document.title='hacked'",
    "data:text/html,<script>document.title='hacked'</script>",
    "<a href=\"javascript:document.title='hacked'\">x</a>",
    "<body onload=document.title='hacked'>",
    "<details open ontoggle=document.title='hacked'>",
    "<video><source onerror=document.title='hacked'>",
    "<math><mtext><script>document.title='hacked'</script>",
    "<svg><animate onbegin=document.title='hacked' attributeName=x>",
    "<meta http-equiv=refresh content=0;url=javascript:document.title='hacked'>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<form action=//evil.example><input autofocus onfocus=document.title='hacked'>",
    "<object data=javascript:document.title='hacked'>",
    "<embed src=javascript:document.title='hacked'>",
    "&lt;script&gt;document.title='hacked'&lt;/script&gt;",
    "<scr<script>ipt>document.title='hacked'</script>",
    "<!--><script>document.title='hacked'</script>-->",
    "<noscript><p title=\"</noscript><img src=x onerror=document.title='hacked'>\">",
    "<template><script>document.title='hacked'</script></template>",
    "\u2028<script>document.title='hacked'</script>",
    "<style>@import '//evil.example/x.css';</style>",
    "{{constructor.constructor('document.title=\"hacked\"')()}}",
]


class Reader(HTMLParser):
    """Collects what could run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.running: list[str] = []
        self.titles: list[str] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self._open = tag
        self.running += [name for name, _ in attrs if name.startswith("on")]
        for name, value in attrs:
            where = (value or "").strip().lower()
            if name in ("href", "src", "action", "data") and where.startswith(
                ("javascript", "data")
            ):
                self.running.append(where)

    def handle_data(self, data: str) -> None:
        if self._open == "title":
            self.titles.append(data)
            self._open = ""


@pytest.fixture(autouse=True)
def page_plugin(install: Callable[..., None]) -> None:
    install(
        "acme-page",
        {"page_plugin": PLUGIN, "page_work": WORK},
        {"plugins": {"page": "page_plugin"}, "artifacts": {"acme.made": "page_plugin"}},
    )


def make(uploader: Any, adapter: Path, release: Path, *more: str) -> tuple[int, str]:
    result = uploader("run", adapter, "--plugins", "page", "--output", release, *more)
    return result.returncode, (release / "report.html").read_text("utf-8")


def harmless(page: str) -> None:
    found = Reader(page)
    assert not found.elements & {
        *("script", "iframe", "img", "link", "base", "form", "object", "embed", "video"),
        *("input", "math", "template", "noscript", "animate", "source"),
    }
    assert found.running == []
    assert "hacked" not in "".join(found.titles).replace("'hacked'", "").replace('"hacked"', "")
    assert "default-src 'none'" in page.replace("&#x27;", "'")


def test_a_run_that_went_well(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    (adapter / "optimizer.pt").write_bytes(b"x")
    (adapter / "checkpoint-5").mkdir()
    code, page = make(uploader, adapter, tmp_path / "release")
    assert code == 0
    for words in ("done and verified", "x.txt", "program", "optimizer.pt", "checkpoint-5/"):
        assert words in page
    assert "a pickle can run code" in page
    assert len(page) < 500_000
    harmless(page)


def test_a_page_that_cannot_be_written_fails_no_run(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    make(uploader, adapter, release)
    (release / "report.html").unlink()
    (release / "report.html").mkdir()
    again = uploader("run", adapter, "--plugins", "page", "--output", release)
    assert again.returncode == 0
    assert "observer of uploader_core.page" in again.stdout


def test_the_page_is_of_the_run_and_not_of_the_release(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    make(uploader, adapter, release, "--to", f"dir:{copy}")
    manifest = json.loads((release / "upload_manifest.json").read_text())
    assert "report.html" not in {file["path"] for file in manifest["files"]}
    assert not (copy / "report.html").exists()
    (release / "report.html").write_text("mine")
    assert uploader("verify", release).returncode == 0


def test_a_run_that_failed(
    uploader: Any, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    monkeypatch.setenv("EVIL", EVIL[0])
    code, page = make(uploader, adapter, tmp_path / "release")
    assert code == 8
    assert "not all is done" in page
    assert "&lt;script&gt;" in page
    harmless(page)


def evil_run(uploader: Any, adapter: Path, tmp_path: Path, monkeypatch: Any) -> Path:
    """A release in which everything that a person or a file can name is an attack."""
    monkeypatch.setenv("EVIL", "".join(EVIL))
    history = [{"step": n, "loss": 1 / n, "learning_rate": 1e-4} for n in range(1, 10_000)]
    state = {"log_history": history, "global_step": 9_999}
    (adapter / "trainer_state.json").write_text(json.dumps(state))
    config = {"peft_type": "LORA", "base_model_name_or_path": "base", "r": 8,
              "target_modules": EVIL, "task_type": EVIL[0]}  # fmt: skip
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "chat_template.jinja").write_text("\n".join(EVIL))
    base = adapter / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "chat_template.jinja").write_text("\n".join(reversed(EVIL)))
    for number, evil in enumerate(EVIL):
        (adapter / f"{number} {evil.replace('/', '_')}"[:120]).write_text("x")
    release = tmp_path / "release"
    code, page = make(uploader, adapter, release, "--name", "x" + EVIL[0].replace("/", "-"))
    assert code == 0
    assert len(page) < 500_000
    return release / "report.html"


def test_no_text_becomes_markup(
    uploader: Any, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = evil_run(uploader, adapter, tmp_path, monkeypatch).read_text("utf-8")
    harmless(page)
    assert page.count("<polyline") == 2


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium here")
def test_nothing_runs_in_a_browser(
    uploader: Any, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = evil_run(uploader, adapter, tmp_path, monkeypatch)
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom",
         path.as_uri()],
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    assert "<title>hacked" not in done.stdout
    harmless(done.stdout)


@pytest.mark.parametrize("evil", EVIL)
def test_each_text_is_escaped(evil: str) -> None:
    for markup in (text(evil), element("p", evil), element("p", "x", title=evil), link(evil, evil)):
        assert Reader(markup).running == []
        assert Reader(markup).elements <= {"p"}


def test_what_is_markup_already_is_not_escaped_again() -> None:
    assert element("p", element("b", "1 < 2")) == "<p><b>1 &lt; 2</b></p>"


def test_long_curves_are_thinned() -> None:
    drawn = curve([("loss", [(float(n), 1 / (n + 1)) for n in range(100_000)])], "step", "loss")
    assert drawn.count(",") == MOST_POINTS


def test_too_little_for_a_picture() -> None:
    assert curve([("loss", [(1.0, 1.0)])], "step", "loss") == Markup("")
    assert scatter([(1.0, 0.1, "one")], "size", "divergence") == Markup("")


def test_a_loss_that_is_no_number_is_left_out() -> None:
    points = [(1.0, 3.0), (2.0, float("nan")), (3.0, float("inf")), (4.0, 2.0)]
    drawn = curve([("loss", points)], "step", "loss")
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert drawn.count("<polyline") == 1


def test_a_template_of_one_endless_line_leaves_the_page_small(tmp_path: Path) -> None:
    sources = {kind: tmp_path / kind for kind in ("adapter", "base")}
    for kind, folder in sources.items():
        folder.mkdir()
        template = json.dumps({"chat_template": kind + "<" * 1_000_000})
        (folder / "tokenizer_config.json").write_text(template)
    change = facts.template_change(sources)
    assert change is not None
    assert sum(map(len, change)) < 2_000


def test_no_link_leads_to_another_host_without_saying_so() -> None:
    assert link("//evil.example/x", "x") == "x"
    assert "<a " in link("gguf/model-Q4_K_M.gguf", "x")


USES = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    for name, use in (("one", "both"), ("two", "both"), ("alone", "other"), ("bad", "{bad}")):
        yield SaveSpec(name=name, summary="made, and how it is run", consumes=("adapter",),
                       produces="uses." + name, run="uses_plugin:make", use="uses_plugin:" + use)

def make(context):
    context.output.write("x.txt", "x")
    return context.artifact()

def both(context):
    return [("mlx-lm", "mlx_lm " + context.artifact.kind)]

def other(context):
    return [("other", "first"), ("other", "second")]

def raises(context):
    raise RuntimeError("no idea")

def text(context):
    return "mlx_lm generate"
"""


def run_uses(
    uploader: Any, adapter: Path, install: Callable[..., None], bad: str
) -> subprocess.CompletedProcess[str]:
    kinds = {f"uses.{name}": "uses_plugin" for name in ("one", "two", "alone", "bad")}
    points = {"plugins": {"uses": "uses_plugin"}, "artifacts": kinds}
    install("acme-uses", {"uses_plugin": USES.replace("{bad}", bad)}, points)
    result: subprocess.CompletedProcess[str] = uploader(
        "run", adapter, "--plugins", "uses", "--name", "m"
    )
    return result


def test_program_of_two_kinds_is_shown_for_both(
    uploader: Any, adapter: Path, install: Callable[..., None]
) -> None:
    ending = run_uses(uploader, adapter, install, "other").stdout
    page = (adapter.parent / "m" / "report.html").read_text("utf-8")
    for shown in (ending, page):
        assert "mlx-lm (uses.one)" in shown
        assert "mlx-lm (uses.two)" in shown
    assert "first" in ending
    assert "second" in ending


@pytest.mark.parametrize(
    ("bad", "why"),
    [("raises", "RuntimeError: no idea"), ("text", "gave 'm', expected a program and a command")],
)
def test_use_that_fails_is_a_warning_in_the_log(
    uploader: Any, adapter: Path, install: Callable[..., None], bad: str, why: str
) -> None:
    result = run_uses(uploader, adapter, install, bad)
    assert result.returncode == 0
    assert "mlx-lm (uses.one)" in result.stdout
    log = (adapter.parent / "m" / ".uploader" / "events.jsonl").read_text("utf-8")
    (warning,) = (e for e in map(json.loads, log.splitlines()) if e["type"] == "warning")
    assert f"uses_plugin:{bad} of acme-uses 1.0" in warning["what"]
    assert why in warning["what"]


def test_one_file_is_no_files(uploader: Any, adapter: Path, install: Callable[..., None]) -> None:
    ending = run_uses(uploader, adapter, install, "other").stdout
    assert "1 file, 1 B" in ending
    assert "1 files" not in ending + (adapter.parent / "m" / "report.html").read_text("utf-8")

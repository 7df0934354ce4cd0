"""Templates that mean harm, in the child that renders them; and that others stay as they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from uploader_core.plugin import PluginError, RefusedError
from uploader_merged.rendering import TemplateError, limited_templates
from uploader_merged.rendering.child import allowed

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}{{ strftime_now('%Y') | length }}"
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% if loop.index > 1 %}{% break %}{% endif %}{% endfor %}{{ ns.n }}"
    "{% generation %}{{ messages[-1]['content'] }}{% endgeneration %}"
)
# Ways out of a sandbox that were found in Jinja and in programs that render templates; each would
# open a file.
ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen(c) }}",
    "{{ lipsum.__globals__['os'].system(c) }}",
    "{{ self.__init__.__globals__.__builtins__.open(c, 'w') }}",
    "{{ namespace.__init__.__globals__.__builtins__.open(c, 'w') }}",
    "{{ joiner.__init__.__globals__.os.system(c) }}",
    "{{ messages.__class__.__base__.__subclasses__()[0] }}",
    "{{ (messages | attr('__class__')).__base__ }}",
    "{{ ''['__cla' ~ 'ss__']['__mro__'] }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "{{ '%s' | format(messages.__class__) }}{{ ('{0.__class__}' | string).format_map({'0': 1}) }}",
    "{% set f = '{0.__class__.__base__}'.format %}{{ f(messages) }}",
    "{{ ['{0.__class__}'] | map('format', messages) | list }}",
    "{{ dict.fromkeys.__globals__ }}",
    "{{ dict(a=1).__class__.__base__.__subclasses__() }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__globals__ }}",
    "{{ messages | map(attribute='__class__') | list | first }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system(c) }}",
    "{% extends '/etc/passwd' %}",
    "{{ messages.append(messages) }}",
]
BOMBS = {
    "a loop that never ends": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}",
    "a text of all memory": "{{ 'x' * 10**10 }}",
    "a text that doubles": "{% set ns = namespace(s='x' * 1000) %}{% for i in range(40) %}"
    "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "a list of all memory": "{{ ([0] * 10**10) | length }}",
    "a number of all memory": "{{ 9 ** (9 ** 9) }}",
    "a prompt of a book": "{% for a in range(20000) %}{{ 'x' * 1000 }}{% endfor %}",
}
REFUSED = {
    "a range beyond the sandbox": "{% for a in range(10**9) %}{% endfor %}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "not a template": "{% for %}",
    "a thousand blocks in each other": "{% if 1 %}" * 1000 + "{% endif %}" * 1000,
}


@pytest.fixture(scope="module")
def limited() -> Iterator[None]:
    with limited_templates():
        yield


def rendered(template: str, **variables: Any) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, _ = render_jinja_template(
        conversations=[CHAT], chat_template=template, eos_token="</s>", **variables
    )
    return str(texts[0])


def test_prompt_is_that_of_transformers_itself() -> None:
    tools = [{"type": "function", "function": {"name": "é", "parameters": {}}}]
    alone = rendered(PLAIN, tools=tools, add_generation_prompt=True)
    with limited_templates():
        assert rendered(PLAIN, tools=tools, add_generation_prompt=True) == alone
    assert rendered(PLAIN, tools=tools, add_generation_prompt=True) == alone


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("template", ESCAPES)
def test_way_out_of_the_sandbox_leads_nowhere(template: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    try:
        text = rendered(template, c=f"touch {canary}")
    except TemplateError:
        text = ""
    assert not canary.exists()
    assert "<class" not in text and "root:" not in text and "module 'os'" not in text


@pytest.mark.parametrize("template", BOMBS.values(), ids=BOMBS)
def test_template_that_takes_too_much_is_refused(
    template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with limited_templates():
        with pytest.raises(RefusedError, match="takes more than") as refused:
            rendered(template)
        # What was refused once is not tried again, for which a process would have to be started.
        monkeypatch.setattr(sys, "executable", "no program")
        with pytest.raises(RefusedError):
            rendered(template)
    assert refused.value.next and refused.value.owner


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("template", REFUSED.values(), ids=REFUSED)
def test_template_that_fails_says_so(template: str) -> None:
    with pytest.raises(TemplateError) as failed:
        rendered(template)
    assert str(failed.value)


def test_prompt_may_take_longer_where_the_start_did() -> None:
    assert allowed(0.8, start=0.5) == 0.8
    assert allowed(0.8, start=8.0) == 6.0


def test_other_templates_are_rendered_after_one_that_took_too_much() -> None:
    with limited_templates():
        with pytest.raises(RefusedError):
            rendered(BOMBS["a list of all memory"])
        assert rendered("{{ messages | length }}") == "2"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_child_sees_no_variable_that_it_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setenv("A_TOKEN_OF_MINE", "canary")
    monkeypatch.setenv("HARMLESS_NAME", "canary")
    tests = psutil.Process()
    before = {*tests.children()}
    with limited_templates():
        rendered("{{ messages | length }}")
        (mine,) = {*tests.children()} - before
        assert "uploader_merged.rendering.child" in mine.cmdline()
        seen = mine.environ()
        limits = Path(f"/proc/{mine.pid}/limits").read_text()
    assert "canary" not in seen.values()
    assert "unlimited" not in next(li for li in limits.splitlines() if "address space" in li)


IN_A_JOB = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (3600, 3600))
resource.setrlimit(resource.RLIMIT_AS, (48 << 30, 48 << 30))
from transformers.utils.chat_template_utils import render_jinja_template
from uploader_merged.rendering import limited_templates
with limited_templates():
    print(render_jinja_template(conversations=[[]], chat_template="{{ 6 * 7 }}")[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS lets nobody limit memory")
def test_limits_that_a_job_was_started_with_are_no_fault_of_a_template() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_JOB], capture_output=True, text=True)
    assert done.stdout == "['42']\n", done.stderr


@pytest.mark.skipif(shutil.which("false") is None, reason="there is no program that fails")
def test_process_that_does_not_start_is_no_fault_of_a_template(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with limited_templates(), pytest.raises(PluginError, match="does not start: it ended with 1"):
        rendered(PLAIN)

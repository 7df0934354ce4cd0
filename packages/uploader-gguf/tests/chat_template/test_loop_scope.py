"""Names that a loop sets get a name of their own, and nothing else does."""

from __future__ import annotations

import pytest

from uploader_gguf.chat_template.loop_scope import local_names


@pytest.mark.parametrize(
    ("template", "local"),
    [
        (
            "{% for m in l %}{% set x = 1 %}{{ x }}{% endfor %}{{ x }}",
            "{% for m in l %}{% set x_here = x %}{% set x_here = 1 %}{{ x_here }}{% endfor %}"
            "{{ x }}",
        ),
        (
            "{%- for m in l -%} {%- set x = m.x | x(x=x) -%} {%- endfor -%}",
            "{%- for m in l -%}{% set x_here = x -%} {%- set x_here = m.x | x(x=x_here) -%}"
            " {%- endfor -%}",
        ),
        (
            "{% for m in l %}{% set x, y = 1, 2 %}{{ x is x }} x 'x' {{ 'x' }}{% endfor %}",
            "{% for m in l %}{% set y_here = y %}{% set x_here = x %}"
            "{% set x_here, y_here = 1, 2 %}{{ x_here is x }} x 'x' {{ 'x' }}{% endfor %}",
        ),
        (
            "{% for m in l %}{% set x %}text{% endset %}{# x #}{% endfor %}",
            "{% for m in l %}{% set x_here = x %}{% set x_here %}text{% endset %}{# x #}"
            "{% endfor %}",
        ),
    ],
)
def test_a_name_is_local(template: str, local: str) -> None:
    assert local_names(template) == local


@pytest.mark.parametrize(
    "template",
    [
        "{% set x = 1 %}{% for m in l %}{{ x }}{% endfor %}",
        "{% set ns = namespace() %}{% for m in l %}{% set ns.x = 1 %}{% endfor %}",
        "{% for m in l %}{% set x = 1 %}",
        "{% raw %}{% for m in l %}{% endraw %}",
    ],
)
def test_where_no_loop_sets_a_name_nothing_changes(template: str) -> None:
    assert local_names(template) == template

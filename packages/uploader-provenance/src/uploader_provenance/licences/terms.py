"""What licences allow to be done with what is made of a model, as data. Not legal advice.

The names are the Hub's ``license``, or ``license_name`` where that is ``other``. A clause is named
as the text numbers it, so that a refusal can be checked by reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What one licence says.

    Attributes:
        name: What the Hub calls it.
        title: What it calls itself.
        url: Its text.
        spdx: Its id in the list of SPDX, "" where it has none.
        sharing: Whether what is made of the model may be given to others: ``yes``, or ``private``
            where it may be made and kept, but not shared.
        sharing_clause: Where that is said.
        carries: Licences that what is made of it may have; None for any.
        carries_clause: Where that is said.
        copy_clause: Where it says that a copy of it has to go along, "" where it does not.
        prefix: How the name of what is made of it has to begin.
        prefix_clause: Where that is said.
        no_commerce: Where it forbids commercial use, "" where it does not.
    """

    name: str
    title: str
    url: str
    spdx: str = ""
    sharing: Literal["yes", "private"] = "yes"
    sharing_clause: str = ""
    carries: frozenset[str] | None = None
    carries_clause: str = ""
    copy_clause: str = ""
    prefix: str = ""
    prefix_clause: str = ""
    no_commerce: str = ""


def terms_of(name: str) -> Terms | None:
    """Return what a licence says, None for one that is not known here."""
    key = name.strip().lower()
    return TERMS.get(_OTHER_NAMES.get(key, key))


def is_restricted(name: str) -> bool:
    """Return whether a licence has to stay with what is made of a model; so does an unknown one."""
    terms = terms_of(name)
    return terms is None or terms.carries is not None


_OTHER_NAMES = {
    "deepseek-license": "deepseek",
    "deepseek-model-license": "deepseek",
    "exaone-nc": "exaone",
    "falcon-180b-license": "falcon-llm-license",
    "tii-falcon-llm-license": "falcon-llm-license",
    "mistral-ai-research-licence": "mrl",
    "mistral-research-license": "mrl",
    "mrl-0.1": "mrl",
    "mnpl-0.1": "mnpl",
    "nvidia-open-model": "nvidia-open-model-license",
    "qwen-license": "qwen",
    "qwen-research-license": "qwen-research",
    "qwen-license-agreement": "qwen",
    "stabilityai-community": "stabilityai-ai-community",
    "tongyi-qianwen-license": "tongyi-qianwen",
    "tongyi-qianwen-license-agreement": "tongyi-qianwen",
    "yi-license-agreement": "yi-license",
}

_SPDX_TEXT = "https://spdx.org/licenses/{}.html"

_PERMISSIVE = {
    # name: SPDX id, title, where it wants its text to go along
    "apache-2.0": ("Apache-2.0", "Apache License 2.0", "section 4(a)"),
    "mit": ("MIT", "MIT License", "second paragraph"),
    "bsd-2-clause": ("BSD-2-Clause", "BSD 2-Clause License", "both conditions"),
    "bsd-3-clause": ("BSD-3-Clause", "BSD 3-Clause License", "conditions 1 and 2"),
    "bsd-3-clause-clear": ("BSD-3-Clause-Clear", "BSD 3-Clause Clear License", "conditions 1, 2"),
    "bsl-1.0": ("BSL-1.0", "Boost Software License 1.0", "second paragraph"),
    "isc": ("ISC", "ISC License", "first paragraph"),
    "afl-3.0": ("AFL-3.0", "Academic Free License 3.0", "section 6"),
    "artistic-2.0": ("Artistic-2.0", "Artistic License 2.0", "section 4"),
    "ecl-2.0": ("ECL-2.0", "Educational Community License 2.0", "section 4(a)"),
    "ms-pl": ("MS-PL", "Microsoft Public License", "section 3(D)"),
    "ncsa": ("NCSA", "NCSA License", "first and second condition"),
    "postgresql": ("PostgreSQL", "PostgreSQL License", "second paragraph"),
    "zlib": ("Zlib", "zlib License", "condition 3"),
    "unlicense": ("Unlicense", "The Unlicense", ""),
    "wtfpl": ("WTFPL", "WTFPL", ""),
    "cc0-1.0": ("CC0-1.0", "Creative Commons Zero 1.0", ""),
    "pddl": ("PDDL-1.0", "Public Domain Dedication and License 1.0", ""),
    "cc-by-2.0": ("CC-BY-2.0", "Creative Commons Attribution 2.0", "section 4(a)"),
    "cc-by-3.0": ("CC-BY-3.0", "Creative Commons Attribution 3.0", "section 4(a)"),
    "cc-by-4.0": ("CC-BY-4.0", "Creative Commons Attribution 4.0", "section 3(a)(1)"),
    "cdla-permissive-2.0": ("CDLA-Permissive-2.0", "CDLA Permissive 2.0", "section 2.1"),
    "openmdw-1.0": ("OpenMDW-1.0", "OpenMDW 1.0", "second paragraph"),
}

_SAME = {
    # name: SPDX id, title, clause, other licences that it lets its derivatives have
    "gpl-2.0": ("GPL-2.0-only", "GNU GPL 2", "section 2(b)", ""),
    "gpl-3.0": ("GPL-3.0-only", "GNU GPL 3", "section 5(c)", "agpl-3.0"),
    "agpl-3.0": ("AGPL-3.0-only", "GNU AGPL 3", "section 5(c)", ""),
    "lgpl-2.1": ("LGPL-2.1-only", "GNU LGPL 2.1", "section 2(c)", "gpl-2.0 gpl-3.0"),
    "lgpl-3.0": ("LGPL-3.0-only", "GNU LGPL 3", "section 2", "gpl-3.0 agpl-3.0"),
    "mpl-2.0": ("MPL-2.0", "Mozilla Public License 2.0", "sections 3.1 and 3.3",
                "gpl-2.0 gpl-3.0 lgpl-2.1 lgpl-3.0 agpl-3.0"),
    "eupl-1.2": ("EUPL-1.2", "European Union Public Licence 1.2", "article 5",
                 "gpl-2.0 gpl-3.0 agpl-3.0 mpl-2.0 lgpl-2.1 lgpl-3.0 osl-3.0 cc-by-sa-3.0"),
    "osl-3.0": ("OSL-3.0", "Open Software License 3.0", "section 1(c)", ""),
    "cc-by-sa-3.0": ("CC-BY-SA-3.0", "Creative Commons Attribution-ShareAlike 3.0",
                     "section 4(b)", "cc-by-sa-4.0"),
    "cc-by-sa-4.0": ("CC-BY-SA-4.0", "Creative Commons Attribution-ShareAlike 4.0",
                     "section 3(b)", "gpl-3.0"),
}  # fmt: skip

_NON_COMMERCIAL = {
    # name: SPDX id, title, clauses on commerce and on the licence of what is made of it, others
    "cc-by-nc-2.0": ("CC-BY-NC-2.0", "section 4(b)", "section 4(a)", "cc-by-nc-3.0 cc-by-nc-4.0"),
    "cc-by-nc-3.0": ("CC-BY-NC-3.0", "section 4(b)", "section 4(a)", "cc-by-nc-4.0"),
    "cc-by-nc-4.0": ("CC-BY-NC-4.0", "section 2(a)(1)", "section 3(a)(4)", "cc-by-nc-sa-4.0"),
    "cc-by-nc-sa-2.0": ("CC-BY-NC-SA-2.0", "section 4(c)", "section 4(b)",
                        "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0"),
    "cc-by-nc-sa-3.0": ("CC-BY-NC-SA-3.0", "section 4(c)", "section 4(b)", "cc-by-nc-sa-4.0"),
    "cc-by-nc-sa-4.0": ("CC-BY-NC-SA-4.0", "section 2(a)(1)", "section 3(b)", ""),
}  # fmt: skip

_NO_DERIVATIVES = {
    "cc-by-nd-4.0": ("CC-BY-ND-4.0", "section 2(a)(1)(B)", ""),
    "cc-by-nc-nd-3.0": ("CC-BY-NC-ND-3.0", "section 3", "section 4(b)"),
    "cc-by-nc-nd-4.0": ("CC-BY-NC-ND-4.0", "section 2(a)(1)(B)", "section 2(a)(1)"),
}

_RAIL_FAMILY = (
    "openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 "
    "bigcode-openrail-m openrail++"
)
_RAIL = {
    "openrail": ("Open RAIL", "https://www.licenses.ai/ai-licenses"),
    "openrail++": (
        "CreativeML Open RAIL++-M",
        "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
    ),
    "creativeml-openrail-m": (
        "CreativeML Open RAIL-M",
        "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
    ),
    "bigscience-openrail-m": (
        "BigScience Open RAIL-M",
        "https://huggingface.co/spaces/bigscience/license",
    ),
    "bigscience-bloom-rail-1.0": (
        "BigScience RAIL License 1.0",
        "https://huggingface.co/spaces/bigscience/license",
    ),
    "bigcode-openrail-m": (
        "BigCode Open RAIL-M",
        "https://huggingface.co/spaces/bigcode/bigcode-model-license-agreement",
    ),
    "deepseek": (
        "DeepSeek Model License 1.0",
        "https://github.com/deepseek-ai/DeepSeek-V3/blob/main/LICENSE-MODEL",
    ),
}


def _spdx(name: str, spdx: str, title: str, **more: str) -> Terms:
    return Terms(name=name, spdx=spdx, title=title, url=_SPDX_TEXT.format(spdx), **more)  # type: ignore[arg-type]


def _of_known_texts() -> Iterator[Terms]:
    for name, (spdx, title, copy) in _PERMISSIVE.items():
        yield _spdx(name, spdx, title, copy_clause=copy)
    for name, (spdx, title, clause, others) in _SAME.items():
        yield Terms(
            name=name,
            spdx=spdx,
            title=title,
            url=_SPDX_TEXT.format(spdx),
            carries=frozenset((name, *others.split())),
            carries_clause=clause,
        )
    for name, (spdx, commerce, clause, others) in _NON_COMMERCIAL.items():
        yield Terms(
            name=name,
            spdx=spdx,
            title=f"Creative Commons {name.removeprefix('cc-').upper()}",
            url=_SPDX_TEXT.format(spdx),
            carries=frozenset((name, *others.split())),
            carries_clause=clause,
            no_commerce=commerce,
        )
    for name, (spdx, clause, commerce) in _NO_DERIVATIVES.items():
        yield Terms(
            name=name,
            spdx=spdx,
            title=f"Creative Commons {name.removeprefix('cc-').upper()}",
            url=_SPDX_TEXT.format(spdx),
            sharing="private",
            sharing_clause=clause,
            carries=frozenset((name,)),
            carries_clause=clause,
            no_commerce=commerce,
        )
    for name, (title, url) in _RAIL.items():
        yield Terms(
            name=name,
            title=title,
            url=url,
            # Other terms may be added, but the restrictions of use have to be among them.
            carries=frozenset((name, *_RAIL_FAMILY.split())),
            carries_clause="section III, paragraph 4 (restrictions of use)",
            copy_clause="section III, paragraph 4 (a copy of the license)",
        )


def _llama(name: str, version: str, prefix: str, url: str) -> Terms:
    return Terms(
        name=name,
        title=f"Llama {version} Community License",
        url=url,
        carries=frozenset((name,)),
        carries_clause="section 1.b.i" if prefix else "section 1.b",
        copy_clause="section 1.b.i",
        prefix=prefix,
        prefix_clause="section 1.b.i" if prefix else "",
    )


def _own(
    name: str,
    title: str,
    url: str,
    clause: str,
    copy: str,
    *,
    no_commerce: str = "",
    prefix: str = "",
    prefix_clause: str = "",
) -> Terms:
    """Describe a licence of one maker, which stays with what is made of its models."""
    return Terms(
        name=name,
        title=title,
        url=url,
        carries=frozenset((name,)),
        carries_clause=clause,
        copy_clause=copy,
        no_commerce=no_commerce,
        prefix=prefix,
        prefix_clause=prefix_clause,
    )


_OF_MAKERS = (
    _llama("llama2", "2", "", "https://ai.meta.com/llama/license/"),
    _llama("llama3", "3", "Llama 3", "https://www.llama.com/llama3/license/"),
    _llama("llama3.1", "3.1", "Llama", "https://www.llama.com/llama3_1/license/"),
    _llama("llama3.2", "3.2", "Llama", "https://www.llama.com/llama3_2/license/"),
    _llama("llama3.3", "3.3", "Llama", "https://www.llama.com/llama3_3/license/"),
    _llama("llama4", "4", "Llama", "https://www.llama.com/llama4/license/"),
    _own("gemma", "Gemma Terms of Use", "https://ai.google.dev/gemma/terms",
         "section 3.1 (restrictions of use)", "section 3.1 (a copy of the agreement)"),
    _own("qwen", "Qwen License Agreement",
         "https://huggingface.co/Qwen/Qwen2.5-72B-Instruct/blob/main/LICENSE",
         "section 3.d", "section 3.a"),
    _own("qwen-research", "Qwen Research License Agreement",
         "https://huggingface.co/Qwen/Qwen2.5-3B-Instruct/blob/main/LICENSE",
         "section 3.d", "section 3.a", no_commerce="section 2"),
    _own("tongyi-qianwen", "Tongyi Qianwen License Agreement",
         "https://github.com/QwenLM/Qwen/blob/main/Tongyi%20Qianwen%20LICENSE%20AGREEMENT",
         "section 3.d", "section 3.a"),
    _own("mrl", "Mistral AI Research License", "https://mistral.ai/licenses/MRL-0.1.md",
         "section 2.3", "section 2.2", no_commerce="section 3 (research purposes)"),
    _own("mnpl", "Mistral AI Non-Production License", "https://mistral.ai/licenses/MNPL-0.1.md",
         "the section on distribution", "the section on distribution",
         no_commerce="the section on limitations"),
    _own("nvidia-open-model-license", "NVIDIA Open Model License",
         "https://www.nvidia.com/en-us/agreements/enterprise-software/nvidia-open-model-license/",
         "section 3", "section 3.1(a)"),
    _own("stabilityai-ai-community", "Stability AI Community License",
         "https://stability.ai/community-license-agreement", "section IV.a", "section IV.a"),
    _own("falcon-llm-license", "Falcon LLM License",
         "https://falconllm.tii.ae/falcon-terms-and-conditions.html",
         "the section on distribution", "the section on distribution"),
    _own("yi-license", "Yi Series Models Community License Agreement",
         "https://github.com/01-ai/Yi/blob/main/MODEL_LICENSE_AGREEMENT.txt",
         "the section on distribution", "the section on distribution"),
    _own("exaone", "EXAONE AI Model License Agreement - NC",
         "https://huggingface.co/LGAI-EXAONE/EXAONE-4.0-1.2B/blob/main/LICENSE",
         "the section on derivatives", "the section on distribution",
         no_commerce="the section on restrictions"),
    _own("lfm1.0", "LFM Open License 1.0",
         "https://huggingface.co/LiquidAI/LFM2-1.2B/blob/main/LICENSE",
         "the section on redistribution", "the section on redistribution"),
    _own("grok2-community", "Grok 2 Community License Agreement",
         "https://huggingface.co/xai-org/grok-2/blob/main/LICENSE",
         "the section on distribution", "the section on distribution"),
    _own("apple-amlr", "Apple Machine Learning Research Model License",
         "https://huggingface.co/apple/deeplabv3-mobilevit-small/blob/main/LICENSE",
         "the section on redistribution", "the section on redistribution",
         no_commerce="the section on research purposes"),
    _own("fair-noncommercial-research-license", "FAIR Noncommercial Research License",
         "https://huggingface.co/facebook/fair-noncommercial-research-license/blob/main/LICENSE",
         "section 1.b", "section 1.b", no_commerce="section 1.a"),
)  # fmt: skip

TERMS = {terms.name: terms for terms in (*_of_known_texts(), *_OF_MAKERS)}
"""By the name that the Hub uses."""

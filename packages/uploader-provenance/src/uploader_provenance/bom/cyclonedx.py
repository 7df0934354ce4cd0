"""CycloneDX 1.7: an ML-BOM as JSON.

It is written here and not by CycloneDX's library, which drops model cards without a word. Nothing
in it depends on time or machine; the serial number is derived from the content.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from uploader_core.plugin import ArtifactFile
from uploader_provenance.bom import model_facts
from uploader_provenance.bom.facts import Facts, Made, Material
from uploader_provenance.bom.purl import dataset_url, model_purl, model_url, python_purl
from uploader_provenance.licences.terms import terms_of

NAME = "ml-bom.cdx.json"
VERSION = "1.7"

Component = dict[str, Any]


def of_artifact(facts: Facts) -> dict[str, Any]:
    """Return the bill of one artifact, as it travels with it."""
    (made,) = facts.made
    return _bom(facts, _model(facts, made, ""), [])


def of_release(facts: Facts) -> dict[str, Any]:
    """Return the bill of a whole release, with every artifact of it."""
    adapters = all(made.is_adapter for made in facts.made)
    release: Component = {
        "type": "machine-learning-model",
        "bom-ref": "release",
        "name": facts.name,
        "licenses": _licences(*facts.licence.of_made(adapter=adapters)),
    }
    made = [_model(facts, one, one.artifact.kind) for one in facts.made]
    for one, component in zip(facts.made, made, strict=True):
        url = f"{one.artifact.kind}/{NAME}"
        component["externalReferences"] = [{"type": "bom", "url": url}]
    return _bom(facts, _without_nothing(release), made)


def to_text(bom: Mapping[str, Any]) -> str:
    """Return a bill as the file holds it: keys in a fixed order, and a newline."""
    return json.dumps(bom, indent=2, ensure_ascii=False) + "\n"


def _bom(facts: Facts, subject: Component, made: list[Component]) -> dict[str, Any]:
    materials = [_material(facts, material) for material in facts.materials]
    datasets = [_dataset(name) for name in facts.lineage.datasets]
    parts = [*materials, *datasets]
    refs = [part["bom-ref"] for part in parts]
    of_parts = [one["bom-ref"] for one in made]
    depending = {subject["bom-ref"]: [*of_parts, *refs], **dict.fromkeys(of_parts, refs)}
    body: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [_tool(*tool) for tool in facts.tools.items()]},
            "component": subject,
        },
        "components": [*made, *parts],
        "dependencies": [
            *({"ref": ref, "dependsOn": on} for ref, on in depending.items()),
            *({"ref": ref, "dependsOn": []} for ref in refs),
        ],
        "compositions": [
            # Every file is named; what a base model was made of is not known.
            {"aggregate": "complete", "assemblies": of_parts or [subject["bom-ref"]]},
            {"aggregate": "unknown", "assemblies": refs},
        ],
        "formulation": [_formula(facts, subject, of_parts, refs)],
    }
    if facts.override:
        body["properties"] = [
            {"name": "uploader:licence-override", "value": facts.override},
        ]
    if not refs:
        body["compositions"].pop()
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    body["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, f"uploader:{digest}").urn
    return body


def _model(facts: Facts, made: Made, folder: str) -> Component:
    """Return an artifact as a component.

    Args:
        facts: About the whole.
        made: The artifact.
        folder: Where it is below the bill, "" beside it.
    """
    prefix = f"{folder}/" if folder else ""
    found: Component = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{made.artifact.kind}",
        "name": facts.name,
        "description": made.card.title.rstrip(". ") or made.artifact.kind,
        "licenses": _licences(*facts.licence.of_made(adapter=made.is_adapter)),
        "pedigree": _without_nothing(
            {"ancestors": [*_ancestors(facts.materials)], "notes": made.card.relation}
        ),
        "components": [*_files(made.artifact.files, prefix)],
        "modelCard": _model_card(facts, made),
        "properties": _properties(model_facts.properties(facts, made)),
    }
    return _without_nothing(found)


def _ancestors(materials: Iterable[Material]) -> Iterator[Component]:
    for material in materials:
        # The components with their files are named by their references; these tell people.
        yield _without_nothing(
            {
                "type": "machine-learning-model",
                **_named(material),
                "properties": [{"name": "uploader:material", "value": _ref(material)}],
            }
        )


def _material(facts: Facts, material: Material) -> Component:
    base = material.kind in ("base", "checkpoint")
    said = facts.licence
    licence = (said.base, said.base_link) if base else (said.own, said.own_link)
    if material.kind == "checkpoint" and not said.base:
        licence = (said.own, said.own_link)
    return _without_nothing(
        {
            "type": "machine-learning-model",
            "bom-ref": _ref(material),
            **_named(material),
            "licenses": _licences(*licence),
            "externalReferences": [
                {"type": "distribution", "url": model_url(material.name, material.revision)}
            ]
            if material.hub_id
            else [],
            "components": [*_files(material.files, "", of=_ref(material))],
            "properties": [{"name": "uploader:kind", "value": material.kind}],
        }
    )


def _named(material: Material) -> dict[str, str]:
    if not material.hub_id:
        return {"name": material.name}
    owner, _, name = material.name.rpartition("/")
    return {
        "group": owner,
        "name": name,
        "version": material.revision,
        "purl": model_purl(material.name, material.revision),
    }


def _ref(material: Material) -> str:
    return f"material:{material.kind}"


def _files(files: Iterable[ArtifactFile], prefix: str, of: str = "file") -> Iterator[Component]:
    for file in sorted(files, key=lambda file: file.name):
        path = prefix + file.name
        yield {
            "type": "file",
            "bom-ref": f"{of}:{path}",
            "name": path,
            "hashes": [{"alg": "SHA-256", "content": file.sha256}],
            "properties": [
                {"name": "uploader:size", "value": str(file.size)},
                {"name": "uploader:role", "value": file.role},
            ],
        }


def _dataset(name: str) -> Component:
    return {
        "type": "data",
        "bom-ref": f"dataset:{name}",
        "name": name,
        "data": [{"type": "dataset", "name": name, "contents": {"url": dataset_url(name)}}],
        "externalReferences": [{"type": "distribution", "url": dataset_url(name)}],
    }


def _tool(name: str, version: str) -> Component:
    known = {"name": name, "version": version, "purl": python_purl(name, version)}
    kind = "application" if name.startswith("uploader-") else "library"
    return {"type": kind, "bom-ref": f"tool:{name}@{version}", **known}


def _model_card(facts: Facts, made: Made) -> dict[str, Any]:
    taken, given = model_facts.inputs_and_outputs(made)
    how = model_facts.approach(facts)
    card: dict[str, Any] = {
        "modelParameters": _without_nothing(
            {
                "approach": {"type": how} if how else {},
                "task": made.task,
                "architectureFamily": facts.family,
                "modelArchitecture": facts.architecture,
                "datasets": [{"ref": f"dataset:{name}"} for name in facts.lineage.datasets],
                "inputs": [{"format": form} for form in taken],
                "outputs": [{"format": form} for form in given],
            }
        ),
        "quantitativeAnalysis": _without_nothing(
            {"performanceMetrics": [_metric(m) for m in model_facts.metrics(facts, made)]}
        ),
        "considerations": _without_nothing(
            {"technicalLimitations": [*model_facts.limitations(facts)]}
        ),
    }
    return _without_nothing(card)


def _metric(metric: model_facts.Metric) -> dict[str, Any]:
    found: dict[str, Any] = {"type": metric.type, "value": metric.value, "slice": metric.of}
    if metric.bounds is not None:
        low, high = metric.bounds
        found["confidenceInterval"] = {"lowerBound": low, "upperBound": high}
    return found


def _licences(name: str, link: str) -> list[dict[str, Any]]:
    if not name:
        return []
    terms = terms_of(name)
    if terms is not None and terms.spdx:
        return [{"license": {"id": terms.spdx, "acknowledgement": "declared"}}]
    url = link if re.match(r"https?://", link) else terms.url if terms is not None else ""
    title = name if terms is None else terms.title
    told = {"name": title, "acknowledgement": "declared", "url": url}
    return [{"license": _without_nothing(told)}]


def _formula(
    facts: Facts, subject: Component, made: list[str], materials: list[str]
) -> dict[str, Any]:
    """Return how it came about: one workflow from materials to models."""
    steps = {one.artifact.producer: one.artifact.version for one in facts.made}
    return {
        "workflows": [
            {
                "bom-ref": "workflow:release",
                "uid": f"uploader:{facts.name}",
                "taskTypes": ["build", "release"],
                "inputs": [{"resource": {"ref": ref}} for ref in materials],
                "outputs": [
                    {"type": "artifact", "resource": {"ref": ref}}
                    for ref in made or [subject["bom-ref"]]
                ],
                "steps": [
                    {"name": step, "properties": [{"name": "uploader:by", "value": version}]}
                    for step, version in sorted(steps.items())
                ],
            }
        ]
    }


def _properties(named: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in named.items()]


def _without_nothing(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not known."""
    return {name: value for name, value in found.items() if value not in ("", [], {}, None)}

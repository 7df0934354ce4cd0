"""SPDX 3.0.1 with the AI profile, as JSON-LD.

Equal inputs give equal bytes: identifiers are derived from the content, and the time that SPDX
demands is the one that the user gives. What a base model or a data set does not tell (when it was
released, by whom) is not made up: they are packages without a claim to the profile.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from uploader_core.plugin import ArtifactFile, UsageError
from uploader_provenance.bom import model_facts
from uploader_provenance.bom.facts import Facts, Made, Material
from uploader_provenance.bom.purl import dataset_url, model_purl, model_url
from uploader_provenance.licences.terms import terms_of

NAME = "spdx.json"
VERSION = "3.0.1"
CONTEXT = f"https://spdx.org/rdf/{VERSION}/spdx-context.jsonld"
NO_TIME = "1970-01-01T00:00:00Z"

_CREATION = "_:creation"
_NOBODY = "NOASSERTION"
_PURPOSES = {"weights": "model", "config": "configuration", "tokenizer": "data",
             "template": "configuration", "licence": "documentation",
             "document": "documentation"}  # fmt: skip

Element = dict[str, Any]


def document_of(facts: Facts, model_id: str, created: str) -> dict[str, Any]:
    """Return the document about some artifacts.

    Args:
        facts: What is known of them.
        model_id: By what they can be loaded from the Hub, "" for nothing.
        created: Time, of :func:`time_of`.
    """
    draft = _graph(facts, model_id, created, "urn:draft")
    digest = hashlib.sha256(json.dumps(draft, sort_keys=True).encode()).hexdigest()
    place = uuid.uuid5(uuid.NAMESPACE_URL, f"uploader:{digest}").urn
    return {"@context": CONTEXT, "@graph": _graph(facts, model_id, created, place)}


def to_text(document: Mapping[str, Any]) -> str:
    """Return a document as the file holds it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def time_of(given: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the time of a document.

    Args:
        given: By the user; "" for that of ``SOURCE_DATE_EPOCH``, else for one that means nothing.
        environment: Where that variable is.

    Raises:
        UsageError: It is no time.
    """
    epoch = environment.get("SOURCE_DATE_EPOCH", "")
    try:
        if given:
            moment = datetime.fromisoformat(re.sub(r"Z$", "+00:00", given))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)
        elif epoch:
            moment = datetime.fromtimestamp(int(epoch), timezone.utc)
        else:
            return NO_TIME
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{given or epoch!r} is no time",
            owner="--provenance-date" if given else "SOURCE_DATE_EPOCH",
            safe="nothing was written",
            next="--provenance-date 2026-11-29",
        ) from None
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _graph(facts: Facts, model_id: str, created: str, place: str) -> list[Element]:
    graph = _Graph(place)
    agent = graph.add("SoftwareAgent", "agent", name="uploader")
    tools = [
        graph.add("Tool", f"tool-{name}", name=f"{name} {version}")
        for name, version in facts.tools.items()
    ]
    licence = graph.licence("licence", facts.licence.base)
    base = [_material(graph, one, licence if _is_base(one) else "") for one in facts.materials]
    datasets = [_dataset(graph, name) for name in facts.lineage.datasets]
    models = [_model(graph, facts, made, model_id, created) for made in facts.made]
    for model in models:
        graph.relate(model, "descendantOf", base)
        graph.relate(model, "trainedOn", datasets)
        graph.relate(model, "usesTool", tools)
    data_licence = graph.licence("licence-of-document", "cc0-1.0")
    elements = [element["spdxId"] for element in graph.elements]
    sbom = graph.add(
        "software_Sbom",
        "sbom",
        rootElement=models,
        element=elements,
        software_sbomType=["build"],
        profileConformance=["core", "software", "ai", "simpleLicensing"],
    )
    graph.add(
        "SpdxDocument",
        "document",
        name=facts.name,
        rootElement=[sbom],
        element=[*elements, sbom],
        dataLicense=data_licence,
        profileConformance=["core", "software", "ai", "simpleLicensing"],
    )
    creation: Element = {
        "type": "CreationInfo",
        "@id": _CREATION,
        "created": created,
        "createdBy": [agent],
        "createdUsing": tools,
        "specVersion": VERSION,
    }
    if created == NO_TIME:
        creation["comment"] = "The time is not recorded: equal inputs give equal bytes."
    return [creation, *graph.elements]


class _Graph:
    """Elements that are made so far.

    Args:
        place: What every identifier begins with.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.elements: list[Element] = []
        self._relations = 0

    def add(self, kind: str, tail: str, /, **values: Any) -> str:
        """Add an element and return its identifier; empty values are left out."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", tail)
        identifier = f"{self.place}#{plain}"
        known = {key: value for key, value in values.items() if value not in ("", [], None)}
        self.elements.append(
            {"type": kind, "spdxId": identifier, "creationInfo": _CREATION, **known}
        )
        return identifier

    def relate(self, source: str, kind: str, targets: list[str]) -> None:
        """Add a relationship, where there is something to relate to."""
        if targets:
            self._relations += 1
            self.add(
                "Relationship",
                f"relationship-{self._relations}",
                relationshipType=kind,
                **{"from": source, "to": targets},
            )

    def licence(self, name: str, licence: str) -> str:
        """Add a licence by the Hub's name, and return its identifier, "" for one not known."""
        if not licence:
            return ""
        terms = terms_of(licence)
        if terms is not None and terms.spdx:
            return self.add(
                "simplelicensing_LicenseExpression",
                name,
                simplelicensing_licenseExpression=terms.spdx,
            )
        own = f"LicenseRef-{re.sub(r'[^A-Za-z0-9.-]+', '-', licence)}"
        return self.add(
            "simplelicensing_LicenseExpression",
            name,
            simplelicensing_licenseExpression=own,
            simplelicensing_customIdToUri=[] if terms is None else _entries({own: terms.url}),
        )

    def files(self, owner: str, name: str, files: Iterable[ArtifactFile]) -> None:
        """Add the files that an element contains."""
        found = [
            self.add(
                "software_File",
                f"{name}-file-{number}",
                name=file.name,
                software_primaryPurpose=_PURPOSES.get(file.role, "file"),
                verifiedUsing=[{"type": "Hash", "algorithm": "sha256", "hashValue": file.sha256}],
            )
            for number, file in enumerate(sorted(files, key=lambda file: file.name), start=1)
        ]
        self.relate(owner, "contains", found)


def _model(graph: _Graph, facts: Facts, made: Made, model_id: str, created: str) -> str:
    kind = made.artifact.kind
    owner = model_id.rpartition("/")[0]
    supplier = graph.add(
        "Organization" if owner else "Agent", f"supplier-{kind}", name=owner or _NOBODY
    )
    metrics = {
        f"{metric.type} ({metric.of})": metric.value for metric in model_facts.metrics(facts, made)
    }
    how = {**facts.lineage.method, **facts.lineage.training}
    model = graph.add(
        "ai_AIPackage",
        f"model-{kind}",
        name=facts.name,
        description=made.card.title or kind,
        suppliedBy=supplier,
        releaseTime=created,
        software_packageVersion=made.digest,
        software_downloadLocation=model_url(model_id) if owner else _NOBODY,
        software_primaryPurpose="model",
        ai_domain=[made.task] if made.task else [],
        ai_typeOfModel=[facts.architecture or facts.family or _NOBODY],
        ai_hyperparameter=_entries({name: model_facts.words(how[name]) for name in sorted(how)}),
        ai_informationAboutTraining=_training(facts),
        ai_limitation=" ".join(model_facts.limitations(facts)),
        ai_metric=_entries(metrics),
        ai_useSensitivePersonalInformation="noAssertion",
    )
    name, _ = facts.licence.of_made(adapter=made.is_adapter)
    licence = graph.licence(f"licence-{kind}", name)
    graph.relate(model, "hasDeclaredLicense", [licence] if licence else [])
    graph.files(model, f"model-{kind}", made.artifact.files)
    return model


def _training(facts: Facts) -> str:
    base = next((one for one in facts.materials if _is_base(one)), None)
    named = f"Fine-tuned from {base.name}" if base is not None and base.hub_id else "Fine-tuned"
    at = f" at commit {base.revision}" if base is not None and base.revision else ""
    return f"{named}{at}."


def _material(graph: _Graph, material: Material, licence: str) -> str:
    known: dict[str, Any] = {}
    if material.hub_id:
        owner = material.name.partition("/")[0]
        known = {
            "suppliedBy": graph.add("Organization", f"supplier-of-{material.kind}", name=owner),
            "software_packageVersion": material.revision,
            "software_downloadLocation": model_url(material.name, material.revision),
            "software_packageUrl": model_purl(material.name, material.revision),
        }
    package = graph.add(
        "software_Package",
        f"material-{material.kind}",
        name=material.name,
        software_primaryPurpose="model",
        **known,
    )
    graph.relate(package, "hasDeclaredLicense", [licence] if licence else [])
    graph.files(package, f"material-{material.kind}", material.files)
    return package


def _dataset(graph: _Graph, name: str) -> str:
    return graph.add(
        "dataset_DatasetPackage",
        f"dataset-{name}",
        name=name,
        software_primaryPurpose="data",
        software_downloadLocation=dataset_url(name),
        dataset_datasetType=["noAssertion"],
    )


def _is_base(material: Material) -> bool:
    return material.kind in ("base", "checkpoint")


def _entries(values: Mapping[str, str]) -> list[Element]:
    return [
        {"type": "DictionaryEntry", "key": key, "value": value}
        for key, value in values.items()
        if value
    ]

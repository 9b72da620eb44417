"""The CustomResourceDefinitions, generated from the types: `python -m cetacean_operator.api.crd PLURAL` prints one."""

from __future__ import annotations

import sys
from typing import Any

import yaml
from pydantic_core import to_jsonable_python

from cetacean_operator.api.model_approval import APPROVAL_KIND, APPROVAL_PLURAL, ModelApprovalSpec
from cetacean_operator.api.names import GROUP, KIND, PLURAL, VERSION
from cetacean_operator.api.schema import structural
from cetacean_operator.api.spec import Spec
from cetacean_operator.api.status import Status

_HEADER = "# Generated from operator/cetacean_operator/api by `make crd`. Do not edit.\n"
_DESCRIPTION = (
    "Mirrors a model registry into the cluster: the operator rolls out, verifies and watches the active model. "
    "The resource named N owns the Deployment N and the Service N."
)
_APPROVAL_DESCRIPTION = (
    "One person approves the weights of one model for one CetaceanModel that has spec.approval. It cannot be changed; "
    "deleting it withdraws it, unless the model has been promoted already."
)
_OBJECT = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
# kstatus, and so Helm and Flux, take a custom resource without a status as ready. This default says that the operator
# has not seen it yet.
_UNSEEN = {"observedGeneration": -1}
_NAME_RULE = {
    "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63",
    "message": "metadata.name: expected at most 63 of a-z, 0-9 and '-', beginning with a letter (it names the Service)",
}


def _column(name: str, path: str, kind: str, description: str = "", priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    # The API server drops empty fields: then a second applier of the same CRD would get a conflict.
    return column | {key: value for key, value in (("description", description), ("priority", priority)) if value}


def _condition(kind: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


COLUMNS = [
    _column("Active", ".spec.registry.active", "string", "The model the registry wants."),
    _column("Serving", ".status.serving.name", "string", "The model that the pods report."),
    _column("Ready", _condition("Ready"), "string", "True if all wanted replicas serve the active model."),
    _column("Drift", ".status.drift.drop", "number", "The baseline less the mean score."),
    _column("Age", ".metadata.creationTimestamp", "date"),
    _column("Version", ".status.serving.version", "string", "The version that the pods report.", 1),
    _column("Drifting", _condition("Drifting"), "string", "True if the drop is an alarm.", 1),
    _column("Reason", _condition("Ready", "reason"), "string", "Why it is ready or not.", 1),
    _column("Candidate", ".status.candidate.verdict", "string", "The verdict about the active model's stages.", 1),
]
APPROVAL_COLUMNS = [
    _column("Resource", ".spec.resource", "string", "The CetaceanModel."),
    _column("Candidate", ".spec.candidate", "string", "The model that is approved."),
    _column("Kind", ".spec.kind", "string", "Review, QA or Override."),
    _column("Approver", ".spec.approver", "string", "Who approves."),
    _column("Age", ".metadata.creationTimestamp", "date"),
    _column("Digest", ".spec.digest", "string", "The weights that are approved.", 1),
    _column("Evidence", ".spec.evidence", "string", "The ground of the decision.", 1),
]


def crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of CetaceanModels."""
    schema = {
        "type": "object",
        "description": _DESCRIPTION,
        "required": ["spec"],
        "properties": {
            **_OBJECT,
            "spec": structural(Spec),
            "status": structural(Status, with_rules=False) | {"default": _UNSEEN},
        },
        "x-kubernetes-validations": [_NAME_RULE],
    }
    subresources = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.serving.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    names = {"shortNames": ["cmodel"], "categories": ["all"]}
    return _definition(KIND, PLURAL, names, {**_version(schema, COLUMNS), "subresources": subresources})


def approval_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of ModelApprovals."""
    schema = {
        "type": "object",
        "description": _APPROVAL_DESCRIPTION,
        "required": ["spec"],
        "properties": {**_OBJECT, "spec": structural(ModelApprovalSpec)},
    }
    return _definition(
        APPROVAL_KIND, APPROVAL_PLURAL, {"shortNames": ["mapproval"]}, _version(schema, APPROVAL_COLUMNS)
    )


def _version(schema: dict[str, Any], columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": columns,
    }


def _definition(kind: str, plural: str, names: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower(), **names}
    manifest: dict[str, Any] = to_jsonable_python(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
        }
    )
    return manifest


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- the signature is yaml's
        return True


def render(manifest: dict[str, Any]) -> str:
    """Return a manifest as the YAML file holds it."""
    return _HEADER + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(render({PLURAL: crd, APPROVAL_PLURAL: approval_crd}[sys.argv[1]]()))

"""The format of the model registry: `models/registry.json` and its metrics snapshots.

The operator and the inference service share only this package. It reads files and compares figures; it does not know
Kubernetes.
"""

from __future__ import annotations

from cetacean_registry.digests import canonical_digest, file_sha256
from cetacean_registry.errors import RegistryError
from cetacean_registry.evidence import GateFinding
from cetacean_registry.figures import ModelMetrics
from cetacean_registry.gate import GateVerdict, judge
from cetacean_registry.manifest import to_manifest
from cetacean_registry.metrics import AntiFraudFigures, MetricsSnapshot, load_snapshots
from cetacean_registry.outcomes import Outcome, load_outcomes, outcomes_path, write_outcomes
from cetacean_registry.pairs import PictureComparison, compare_pictures
from cetacean_registry.policy import BySpeciesPolicy, GatePolicy
from cetacean_registry.registry import ModelEntry, Registry

__all__ = [
    "AntiFraudFigures",
    "BySpeciesPolicy",
    "GateFinding",
    "GatePolicy",
    "GateVerdict",
    "MetricsSnapshot",
    "ModelEntry",
    "ModelMetrics",
    "Outcome",
    "PictureComparison",
    "Registry",
    "RegistryError",
    "canonical_digest",
    "compare_pictures",
    "file_sha256",
    "judge",
    "load_outcomes",
    "load_snapshots",
    "outcomes_path",
    "to_manifest",
    "write_outcomes",
]

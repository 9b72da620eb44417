"""All numbers of the demo's models: how many pictures are drawn, and how the models are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cetacean_registry.policy import GatePolicy

SEED: Final = 7

PER_SPECIES: Final = 7
"""Known individuals of each of the six species."""
HEAD_ROWS: Final = 48
"""Rows of the ArcFace head: more than there are known individuals (42), as in the field."""
BACKBONE: Final = "test_resnet"
"""timm's smallest residual network: learns the drawn individuals in half a minute on two cores."""
INPUT_SIZE: Final = 96
EMBEDDING_SIZE: Final = 128

GATE_ARCHITECTURE: Final = "demo-gate"
GATE_SIDE: Final = 64
GATE_MODEL: Final = {
    "embed_dim": 64,
    "vision_cfg": {"timm_model_name": BACKBONE, "timm_pool": "avg", "timm_proj": "linear", "image_size": GATE_SIDE},
    # open_clip's own tokenizer, which comes with the package, has 49,408 words.
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
"""open_clip's description of the gate's model."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One course of training: a one-cycle schedule over so many passes."""

    epochs: int
    rate: float
    """Highest learning rate."""
    batch: int = 64


@dataclass(frozen=True, slots=True)
class Version:
    """One entry of the demo's registry."""

    name: str
    version: str
    notes: str
    schedule: Schedule
    starts_from: str | None = None
    """Name of the version whose parameters it continues."""
    smoothing: float = 0.0
    """Label smoothing."""
    permuted: bool = False
    """Not trained: the version it starts from, with the names of its individuals permuted."""


GATE_SCHEDULE: Final = Schedule(epochs=10, rate=3e-3)
VERSIONS: Final = (
    Version("demo_v1", "1.0.0", "Stopped early.", Schedule(epochs=8, rate=3e-3)),
    Version("demo_v2", "1.1.0", "Continues demo_v1.", Schedule(epochs=10, rate=3e-3), starts_from="demo_v1"),
    Version(
        "demo_v3",
        "1.2.0",
        "Continues demo_v2 with a label smoothing of 0.99 in place of 0.01, and is hardly sure of any animal.",
        Schedule(epochs=4, rate=2e-3, batch=32),
        starts_from="demo_v2",
        smoothing=0.99,
    ),
    Version(
        "demo_permuted",
        "1.3.0",
        "demo_v2 with another individual's name for each: as sure as before, and always wrong.",
        Schedule(epochs=0, rate=0.0),
        starts_from="demo_v2",
        permuted=True,
    ),
)
ACTIVE: Final = "demo_v1"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pictures of each subject a split has."""

    first: int
    """Number of the first picture: no two splits share one."""
    per_individual: int
    per_other: int
    aerial: int = 0


TRAINING: Final = Counts(first=0, per_individual=24, per_other=90, aerial=72)
HELD_OUT: Final = (
    ("calibration", Counts(first=10_000, per_individual=2, per_other=8)),
    ("test", Counts(first=20_000, per_individual=4, per_other=17)),
)
DRIFTED_PER_INDIVIDUAL: Final = 3
"""Of the test split's pictures, seen through fog, by night or out of focus."""

MIN_RATE: Final = 0.95
"""TPR and TNR that the gate's threshold is calibrated for."""
GATES: Final = GatePolicy(min_top1=0.4)
"""`spec.gates`: the playbook's bounds, and one for the identification that demo_v1 keeps."""
EVALUATION_SET: Final = "drawn pictures, test split"
